"""The host, with the process of docs/processes.md in it: real signals to a real process, on a real broker."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from tests.integration.ended import fails
from tests.integration.sink.probing import Pages
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration
TOY = "tests.integration.service.toy"
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Started:
    """A process under test."""

    popen: subprocess.Popen[bytes]
    pages: Pages
    output: Path

    def log(self) -> str:
        """Return what it said."""
        return self.output.read_text()


Start = Callable[..., Started]


def environment(settings: KafkaSettings) -> dict[str, str]:
    """Return what names the broker."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the process; what is left of them is killed."""
    started: list[Started] = []

    def start_(settings: KafkaSettings, *command: str, **env: str) -> Started:
        pages, output = Pages(f"127.0.0.1:{free_port()}"), tmp_path / f"{len(started)}.log"
        with output.open("wb") as stream:
            popen = subprocess.Popen(
                [sys.executable, "-m", *(command or (TOY,))],
                env={**os.environ, **environment(settings), "RUNBUS_PROBES_ADDRESS": pages.address, **env},
                cwd=tmp_path,
                stdout=stream,
                stderr=stream,
            )
        started.append(Started(popen, pages, output))
        return started[-1]

    yield start_
    for process in started:
        process.popen.kill()
        process.popen.wait()


def heartbeats(settings: KafkaSettings) -> list[tuple[bytes | None, Heartbeat]]:
    """Return the heartbeats of the log, with their keys."""
    found = []
    for message in TopicReader(settings).read("heartbeats"):
        value = message.value()
        assert isinstance(value, bytes)
        writer, body = Codec().open(value, "Heartbeat")
        found.append((message.key(), Heartbeat.decode(body, writer)))
    return found


def test_the_process_of_the_page_is_ready_counts_and_says_so(kafka_settings: KafkaSettings, start: Start) -> None:
    """Probes, metrics and heartbeats are made of its three functions; SIGTERM ends it with 0."""
    apply_topics(kafka_settings, partitions=2)
    producer = Producer({**kafka_settings.client_config()})
    for _ in range(3):
        producer.produce(f"{kafka_settings.topic_prefix}runs", b"x", uuid.uuid4().bytes)  # compacted: it needs a key
    assert producer.flush(15) == 0
    process = start(kafka_settings)
    until("it is ready", process.pages.ready)
    assert process.pages.ask("live")[0] == 200
    assert process.pages.value("runbus_records_total") == 3
    assert process.pages.value("runbus_ready") == 1
    until("two heartbeats", lambda: len(heartbeats(kafka_settings)) > 1)
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(30) == 0, process.log()
    beats = heartbeats(kafka_settings)
    name = f"count-{socket.gethostname()}-{process.popen.pid}"
    assert {(key, beat.component_id, beat.kind) for key, beat in beats} == {(name.encode(), name, "count")}
    assert {beat.started_at for _, beat in beats} == {beats[0][1].started_at}
    assert beats[0][1].started_at < beats[0][1].sent_at < beats[1][1].sent_at
    assert beats[-1][1].total_events == 3
    assert (beats[0][1].detail, beats[-1][1].detail) == ("{}", '{"stopping":true}')  # it says that it ends


def test_a_second_sigint_changes_nothing(kafka_settings: KafkaSettings, start: Start) -> None:
    """Who presses Ctrl-C twice gets the same end in order, and no traceback."""
    apply_topics(kafka_settings, partitions=1)
    process = start(kafka_settings)
    until("it is ready", process.pages.ready)
    process.popen.send_signal(signal.SIGINT)
    process.popen.send_signal(signal.SIGINT)
    assert process.popen.wait(30) == 0, process.log()
    assert "Traceback" not in process.log()


def test_sigterm_ends_the_wait_at_the_start(start: Start) -> None:
    """Without a broker it is alive, not ready, says why, and ends with 0 when asked."""
    process = start(KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"))
    until("it says what it waits for", lambda: "waits for Kafka" in (process.pages.reasons() or []))
    assert process.pages.ask("live")[0] == 200
    until("it is in the log", lambda: "start.waiting for Kafka" in process.log())
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(30) == 0, process.log()
    assert "error" not in process.log()


def test_new_credentials_are_another_start_in_the_same_process(
    kafka_settings: KafkaSettings, start: Start, tmp_path: Path
) -> None:
    """Its clients are made anew; its name and the time of its start stay, and it is ready again."""
    apply_topics(kafka_settings, partitions=1)
    password = tmp_path / "password"
    password.write_text("old")
    process = start(kafka_settings, TOY_CREDENTIALS=str(password))
    until("a heartbeat", lambda: bool(heartbeats(kafka_settings)))
    password.write_text("new")
    until("it took them over", lambda: "service.credentials changed" in process.log())
    until("its pages are there again", process.pages.ready)
    before = len(heartbeats(kafka_settings))
    until("heartbeats go on", lambda: len(heartbeats(kafka_settings)) > before)
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(30) == 0, process.log()
    assert len({(key, beat.started_at) for key, beat in heartbeats(kafka_settings)}) == 1


def test_another_topic_under_the_same_name_ends_it(kafka_settings: KafkaSettings, start: Start) -> None:
    """What it knows belongs to the old one: exit code 1, to be started again."""
    apply_topics(kafka_settings, partitions=1)
    process = start(kafka_settings)
    until("it is ready", process.pages.ready)
    topic, admin = f"{kafka_settings.topic_prefix}runs", AdminClient({**kafka_settings.client_config()})
    admin.delete_topics([topic])[topic].result(15)
    until("it is gone", lambda: topic not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(15)
    assert process.popen.wait(60) == 1, process.log()
    assert process.log().splitlines()[-1] == f"error: topic {topic} was deleted or re-created"
    assert "Traceback" not in process.log()


def test_what_a_person_has_to_mend_is_one_line_and_1(kafka_settings: KafkaSettings) -> None:
    """Topics that are not there, and a port that is taken."""
    said = fails(TOY, environment(kafka_settings))
    assert said.startswith("error: topics missing")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = fails(TOY, {**environment(kafka_settings), "RUNBUS_PROBES_ADDRESS": address})
    assert said.startswith(f"error: RUNBUS_PROBES_ADDRESS={address}")


@pytest.mark.parametrize("variable", ["RUNBUS_READY_LAG_SECONDS", "RUNBUS_LOG_LEVEL", "RUNBUS_PROBES_ADDRESS"])
def test_a_wrong_setting_is_one_line_and_2(variable: str, kafka_settings: KafkaSettings) -> None:
    """The variable is named."""
    assert variable in fails(TOY, {**environment(kafka_settings), variable: "wrong"}, code=2)


@pytest.mark.parametrize("kind", ["sink", "live-metrics"])
def test_both_spellings_log_alike(kind: str, start: Start) -> None:
    """`runbus KIND` and `python -m` its module are one start: the same lines, but for their times."""
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    store = {"CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}"}
    said = []
    for command in ((f"runbus.{kind.replace('-', '_')}",), ("runbus.cli", kind)):
        process = start(nowhere, *command, **store)
        until("it waits", lambda process=process: "start.waiting" in process.log())  # type: ignore[misc]
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(30) == 0, process.log()
        said.append({re.sub(r"^\S+ \S+ |:\d+", "", line) for line in process.log().splitlines()})
    assert said[0] == said[1]
    assert not [line for line in said[0] if line.startswith("ERROR")]
    assert any(line.startswith("INFO runbus.probes.server probes.listening") for line in said[0]), said[0]
