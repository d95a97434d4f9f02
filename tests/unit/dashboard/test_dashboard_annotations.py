"""What the page says of runs: checked, and written to the log or not at all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from runbus.config.sources import Sources
from runbus.dashboard.app import create_app
from runbus.dashboard.parts import Parts
from runbus.dashboard.settings import DashboardSettings
from runbus.kafka.errors import BrokerUnavailable
from runbus.schemas.events import Annotation


class Page:
    """The API over a log that keeps what is written to it, or is away."""

    def __init__(self) -> None:
        self.written: list[Annotation] = []
        self.away = False
        settings = DashboardSettings.load(Sources({}, {}))
        nothing = cast("Any", SimpleNamespace())
        self._transport = httpx.ASGITransport(create_app(Parts(settings, nothing, nothing, self)))

    async def write(self, annotation: Annotation) -> None:
        """Keep it; see Annotator."""
        if self.away:
            raise BrokerUnavailable("Kafka at 127.0.0.1:1 does not answer")
        self.written.append(annotation)

    def ask(self, method: str, **request: Any) -> httpx.Response:
        """Return the answer."""

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://localhost:8600") as http:
                return await http.request(method, "/api/v1/annotations", **request)

        return asyncio.run(send())

    def say(self, **said: Any) -> httpx.Response:
        """Put an annotation somewhere."""
        return self.ask("POST", json=said)


@pytest.fixture
def page() -> Page:
    """Return a page whose log answers."""
    return Page()


def test_what_is_said_is_written_with_who_said_it(page: Page) -> None:
    """A note has a name of its own; a name that nobody gave is the page's."""
    answer = page.say(run="r", agent="w", episode=3, kind="note", text="why?", author="ann")
    assert (answer.status_code, answer.json()["name"]) == (201, page.written[0].name)
    page.say(run="r", kind="tag", name="good")
    page.say(run="r", kind="pin")
    first, second, third = page.written
    assert (first.run_id, first.agent_id, first.env, first.episode, first.step) == ("r", "w", 0, 3, -1)
    assert (first.kind, first.text, first.author, len(first.name)) == ("note", "why?", "ann", 12)
    assert (second.kind, second.name, second.author, second.episode) == ("tag", "good", "page", -1)
    assert (third.kind, third.name) == ("pin", "")


def test_a_removal_says_what_and_who(page: Page) -> None:
    """By the same place and name."""
    assert page.ask("DELETE", params={"run": "r", "kind": "tag", "name": "good", "author": "bob"}).status_code == 200
    (said,) = page.written
    assert (said.kind, said.name, said.author, said.removed) == ("tag", "good", "bob", True)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"run": "", "kind": "pin"}, "run_id"),
        ({"run": "r", "kind": "tag"}, "a tag has a name"),
        ({"run": "r", "kind": "pin", "name": "x"}, "a pin has no name"),
        ({"run": "r", "kind": "note"}, "a note has a name"),
        ({"run": "r", "kind": "note", "text": "x" * 66_000}, "at most 65536 bytes"),
        ({"run": "r", "kind": "star"}, "kind"),
        ({"run": "r", "kind": "pin", "step": 3}, "is of an episode"),
        ({"run": "r", "kind": "pin", "colour": "red"}, "colour"),
        ({"kind": "pin"}, "run"),
    ],
)
def test_what_cannot_be_said_changes_nothing(page: Page, said: dict[str, Any], why: str) -> None:
    """One sentence tells why."""
    answer = page.say(**said)
    assert answer.status_code == 400
    assert why in answer.json()["error"]
    assert not page.written


def test_a_log_that_is_away_is_said(page: Page) -> None:
    """And nothing is kept for later: the person tries again."""
    page.away = True
    answer = page.say(run="r", kind="pin")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["error"]
