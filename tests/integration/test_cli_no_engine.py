"""Without an engine every command says one sentence about it, and nothing else is on standard error."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from tests.integration.asked import Asked

pytestmark = pytest.mark.integration

#: Every command that asks an engine something.
COMMANDS = (
    ("query", "SELECT 1"),
    ("query", "SELECT 1", "--json"),
    ("query", "SELECT 1", "--format", "csv"),
    ("run", "ls"),
    ("run", "ls", "--json"),
    ("run", "show", "r"),
    ("dlq", "list"),
    ("dlq", "show", "k"),
    ("dlq", "retry", "k"),
    ("migrate",),
    ("audit",),
    ("audit", "--ranges"),
    ("topics", "list"),
    ("topics", "apply"),
    ("topics", "acls"),
)
Engine = Callable[[], AbstractContextManager[int]]
#: One for each way to an engine: the driver, the migration runner, an admin client, a consumer.
WAYS = (("query", "SELECT 1"), ("migrate",), ("topics", "list"), ("topics", "acls"), ("audit",))
GARBAGE = b"\x1b]0;evil\x07SSH-2.0-OpenSSH_9.9\r\n" + b"x" * 64 + b"\r\n"
#: What is a library's, a log's or an insert's, and no user's.
STRANGE = ("Pool", "Errno", "Retry", "WARNING", "insert", "Traceback", "attempt", "object at", "%3|", "rdkafka")


@contextmanager
def _garbage() -> Iterator[int]:
    """Listen on a port whose answer is no protocol of ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(GARBAGE)
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def _closed() -> Iterator[int]:
    """Hold a port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _at(home: Path, port: int, scheme: str = "http") -> Asked:
    address = f"127.0.0.1:{port}"
    settings = {"KAFKA_BOOTSTRAP_SERVERS": address, "CLICKHOUSE_URL": f"{scheme}://{address}"}
    return Asked(home, settings)


def _check(arguments: tuple[str, ...], asked: Asked) -> None:
    done = asked.run(*arguments)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b""), (arguments, done)
    assert said.startswith("runbus: "), arguments
    assert said.count("\n") == 1, (arguments, said)
    assert "127.0.0.1" in said, (arguments, said)
    assert not [word for word in STRANGE if word in said], (arguments, said)
    assert said.removesuffix("\n").isprintable(), (arguments, said)


@pytest.mark.parametrize(("engine", "commands"), [(_closed, COMMANDS), (_garbage, WAYS)])
def test_one_sentence_a_command(engine: Engine, commands: Sequence[tuple[str, ...]], tmp_path: Path) -> None:
    """Exit code 1, one line with the address, nothing of a library."""
    with engine() as port, ThreadPoolExecutor(4) as threads:
        asked = _at(tmp_path, port)
        for done in [threads.submit(_check, arguments, asked) for arguments in commands]:
            done.result()


def test_tls_against_a_port_without(tmp_path: Path, clickhouse: ClickHouseSettings) -> None:
    """An https address of an http port says so."""
    asked = Asked(tmp_path, {"CLICKHOUSE_URL": clickhouse.url.replace("http://", "https://")})
    done = asked.run("run", "ls")
    assert done.returncode == 1
    assert done.stderr.startswith(b"runbus: ClickHouse did not answer at https://")
    assert b"no TLS is spoken there" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_wrong_password(tmp_path: Path, clickhouse: ClickHouseSettings) -> None:
    """The advice is about the password, and about nothing else."""
    settings = {"CLICKHOUSE_URL": clickhouse.url, "CLICKHOUSE_USER": "nobody", "CLICKHOUSE_PASSWORD": "wrong"}
    done = Asked(tmp_path, settings).run("run", "ls")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b"Check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD\n")
    assert done.stderr.count(b"\n") == 1


def test_clickhouse_at_the_address_of_kafka(tmp_path: Path, kafka: str) -> None:
    """A port that speaks another protocol closes the connection or stays silent; it is no HTTP either way."""
    done = Asked(tmp_path, {"CLICKHOUSE_URL": f"http://{kafka.partition(',')[0]}"}).run("run", "ls")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"runbus: ClickHouse did not answer at http://")
    assert done.stderr.count(b"\n") == 1


def test_the_doctor_says_each_cause_once(tmp_path: Path) -> None:
    """What needs ClickHouse is not checked without it; standard error is empty, JSON has the same."""
    with _garbage() as port, ThreadPoolExecutor(2) as threads:
        asked = _at(tmp_path, port)
        done, document = threads.map(lambda options: asked.run("doctor", *options), ((), ("--json",)))
    assert (done.returncode, done.stderr) == (1, b""), done
    assert (document.returncode, document.stderr) == (1, b"")
    assert done.stdout.count(b"ClickHouse did not answer") == 1
    found = {check["check"]: check for check in json.loads(document.stdout)}
    assert not found["broker"]["ok"]
    assert found["clickhouse"]["finding"].startswith(f"ClickHouse did not answer at http://127.0.0.1:{port}: ")
    assert found["migrations"]["finding"] == "not checked: mend clickhouse first"
    assert found["sink"] == {"check": "sink", "ok": False, "finding": "not checked: mend migrations first"}
    assert not [word for word in STRANGE if word in done.stdout.decode()]
