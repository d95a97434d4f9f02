"""The process: what it says when it may not listen, and how it ends while people look."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port, listen
from tests.integration.ended import fails
from tests.support.waiting import until

pytestmark = pytest.mark.integration
MODULE = "runbus.dashboard"
STREAM = b"GET /api/v1/stream?view=health HTTP/1.1\r\nHost: localhost\r\n\r\n"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def env(kafka_settings: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path) -> dict[str, str]:
    """Return what names the engines, with topics that are there."""
    apply_topics(kafka_settings, partitions=2)
    return {
        "RUNBUS_HOME": str(tmp_path),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "CLICKHOUSE_URL": clickhouse.url,
        "CLICKHOUSE_USER": clickhouse.user,
        "CLICKHOUSE_PASSWORD": clickhouse.password.reveal(),
        "CLICKHOUSE_DATABASE": "default",
        "RUNBUS_DASHBOARD_ADDRESS": f"127.0.0.1:{free_port()}",
    }


class Running:
    """A dashboard under test."""

    def __init__(self, env: dict[str, str], output: Path) -> None:
        self.output = output
        self.port = int(env["RUNBUS_DASHBOARD_ADDRESS"].rpartition(":")[2])
        with output.open("wb") as stream:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", MODULE], env={**os.environ, **env}, cwd=ROOT, stdout=stream, stderr=stream
            )
        until("the page is served", self.serves)

    def serves(self) -> bool:
        """Return whether the port is open; fail if the process has ended."""
        assert self.popen.poll() is None, self.log()
        return "dashboard.listening" in self.log()

    def log(self) -> str:
        """Return what it said."""
        return self.output.read_text(encoding="utf-8")

    def status(self, path: str, **headers: str) -> int:
        """Return the status of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            return connection.getresponse().status
        finally:
            connection.close()

    def follow(self) -> socket.socket:
        """Open a stream and take the beginning of it."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(STREAM)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
        return connection


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Running]]:
    """Return what starts a dashboard; what is left of it is killed."""
    started: list[Running] = []

    def start_(env: dict[str, str]) -> Running:
        started.append(Running(env, tmp_path / f"{len(started)}.log"))
        return started[-1]

    yield start_
    for running in started:
        running.popen.kill()
        running.popen.wait()


def test_it_ends_in_order_while_people_look(env: dict[str, str], start: Callable[[dict[str, str]], Running]) -> None:
    """SIGTERM with open streams, one of them of a client that does not read: exit code 0, and nothing in the log."""
    ended_with_streams(start(env), 10)


@pytest.mark.long
def test_it_ends_in_order_while_500_look(env: dict[str, str], start: Callable[[dict[str, str]], Running]) -> None:
    """The same with as many as it is made for."""
    ended_with_streams(start(env), 500)


def ended_with_streams(running: Running, count: int) -> None:
    """Stop a dashboard that `count` clients follow."""
    assert running.status("/") == 200
    assert running.status("/api/v1/openapi.json") == 200
    streams = [running.follow() for _ in range(count)]
    before = running.log()
    running.popen.send_signal(signal.SIGTERM)
    assert running.popen.wait(60) == 0
    said = running.log().removeprefix(before)
    assert not [line for line in said.splitlines() if " ERROR " in line or " WARNING " in line or "Traceback" in line]
    for stream in streams:
        stream.close()


def test_a_port_that_is_taken_is_one_sentence(env: dict[str, str]) -> None:
    """And exit code 1, once everything else was well."""
    port = int(env["RUNBUS_DASHBOARD_ADDRESS"].rpartition(":")[2])
    with listen(port, "--x") as taken:
        taken.listen()
        said = fails(MODULE, env)
    assert said.startswith(f"error: cannot listen at 127.0.0.1:{port}: ")
    assert "RUNBUS_DASHBOARD_ADDRESS" in said


def test_without_a_token_it_does_not_listen_to_others(env: dict[str, str]) -> None:
    """It does not even ask the broker."""
    said = fails(MODULE, {**env, "RUNBUS_DASHBOARD_ADDRESS": "0.0.0.0:0"}, code=2)
    assert "RUNBUS_DASHBOARD_TOKEN_FILE" in said


def test_a_new_token_in_the_file_is_taken_over(
    env: dict[str, str], start: Callable[[dict[str, str]], Running], tmp_path: Path
) -> None:
    """The process stays; who follows has to come back with the new one."""
    file = tmp_path / "token"
    file.write_text("the-first-token-of-all", encoding="utf-8")
    running = start({**env, "RUNBUS_DASHBOARD_TOKEN_FILE": str(file)})
    assert running.status("/api/v1/session", Authorization="Bearer the-first-token-of-all") == 200
    file.write_text("the-second-token-of-all", encoding="utf-8")
    until("the page is served again", lambda: running.log().count("dashboard.listening") == 2)
    assert running.status("/api/v1/session", Authorization="Bearer the-first-token-of-all") == 401
    assert running.status("/api/v1/session", Authorization="Bearer the-second-token-of-all") == 200
    running.popen.send_signal(signal.SIGTERM)
    assert running.popen.wait(60) == 0
