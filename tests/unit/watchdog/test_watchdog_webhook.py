"""Alarms that are posted: a real server, which takes them, refuses, hangs up or is not there."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runbus.config.secret import Secret
from runbus.local.ports import free_port
from runbus.watchdog.alarms import AlarmChange, Lasting
from runbus.watchdog.findings import State, WatchFinding
from runbus.watchdog.webhook import Webhook
from tests.support.waiting import until_holds

FINDING = WatchFinding("group g", "still", State.STALL, "stands", "look", 1.0)


class Taker:
    """A server that answers with these statuses, one after the other, the last for ever."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.posts: list[dict[str, Any]] = []
        taker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taker.posts.append(json.loads(body) | {"path": self.path, "type": self.headers["Content-Type"]})
                status = taker.statuses.pop(0) if len(taker.statuses) > 1 else taker.statuses[0]
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=t"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def taker() -> Iterator[Taker]:
    """Yield a server."""
    made = Taker()
    yield made
    made.server.shutdown()
    made.server.server_close()


def change(word: str = "alarm", subject: str = "group g") -> AlarmChange:
    """Return the beginning or the end of an alarm."""
    finding = WatchFinding(subject, FINDING.what, FINDING.state, FINDING.text, FINDING.todo, FINDING.hold_s)
    return AlarmChange(Lasting(finding, 2.5, alarm=True), word)


async def told(webhook: Webhook, changes: list[AlarmChange], done: int, posts: list[Any]) -> None:
    """Tell it, and let it work until so many posts have come, or were given up."""
    for one in changes:
        webhook.tell(one)
    serving = asyncio.create_task(webhook.serve())
    await until_holds(lambda: len(posts) + webhook.failed >= done)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def test_the_beginning_and_the_end_are_posted(taker: Taker) -> None:
    """As JSON that says who says it, and what to do."""
    webhook = Webhook(Secret(taker.url), "watchdog-1")
    asyncio.run(told(webhook, [change(), change("over")], 2, taker.posts))
    first, last = taker.posts
    assert (first["status"], last["status"]) == ("firing", "resolved")
    assert first["path"] == "/hook?token=t"
    assert first["type"] == "application/json"
    assert (first["watchdog"], first["subject"], first["state"]) == ("watchdog-1", "group g", "STALL")
    assert first["since_ms"] == 2500
    assert (first["text"], first["todo"], first["alarm"]) == ("stands", "look", True)


def test_a_server_that_is_busy_is_asked_again(taker: Taker) -> None:
    """And the alarm is there once it takes it."""
    taker.statuses = [503, 200]
    webhook = Webhook(Secret(taker.url), "w")
    asyncio.run(told(webhook, [change()], 2, taker.posts))
    assert len(taker.posts) == 2
    assert webhook.failed == 0


def test_one_that_refuses_or_is_away_stops_nothing(taker: Taker, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and logged, without the token; the next one is posted."""
    taker.statuses = [403, 200]
    webhook = Webhook(Secret(taker.url), "w")
    asyncio.run(told(webhook, [change(), change()], 3, taker.posts))
    assert (len(taker.posts), webhook.failed) == (2, 1)
    away = Webhook(Secret(f"http://127.0.0.1:{free_port()}/?token=t"), "w")
    asyncio.run(told(away, [change()], 1, []))
    assert away.failed == 1
    assert "403" in caplog.text
    assert "token" not in caplog.text


def test_what_waits_is_bounded_and_no_url_is_no_webhook() -> None:
    """The oldest gives way."""
    webhook = Webhook(Secret("http://127.0.0.1:1"), "w")
    for _ in range(150):
        webhook.tell(change())
    assert webhook.failed == 50
    silent = Webhook(Secret(""), "w")
    for _ in range(150):
        silent.tell(change())
    assert silent.failed == 0
