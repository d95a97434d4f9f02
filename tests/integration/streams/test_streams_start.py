"""What a stream app says when it cannot start, one sentence each; and how it is reached when it can."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port
from tests.faults.stream_workers import KINDS, workers
from tests.integration.ended import fails
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration


def refuses(kind: str, settings: KafkaSettings, *, code: int = 1, **env: str) -> str:
    """Run an app that must end with that code; return its last line."""
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "RUNBUS_TOPIC_PREFIX": settings.topic_prefix}
    return fails(f"runbus.{kind.replace('-', '_')}", {**kafka, **env}, code=code)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_topics_are_named(kind: str, kafka_settings: KafkaSettings) -> None:
    """Without topics it says which are missing and what creates them."""
    said = refuses(kind, kafka_settings)
    assert said.startswith("error: topics missing")
    assert f"{kafka_settings.topic_prefix}steps" in said
    assert "runbus topics apply" in said


def test_state_with_another_number_of_partitions_is_refused(kafka_settings: KafkaSettings) -> None:
    """State and steps belong together partition by partition."""
    name = f"{kafka_settings.topic_prefix}episodes-state-changelog"
    admin = AdminClient({**kafka_settings.client_config()})
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(15)
    others = ["runs", "steps", "episodes", "dead-letters", "heartbeats"]
    futures = admin.create_topics([NewTopic(kafka_settings.topic_prefix + t, 2, 1) for t in others])
    for future in futures.values():
        future.result(15)
    said = refuses("episodes", kafka_settings)
    assert "3 partitions" in said
    assert "delete" in said


def test_state_that_cannot_be_read_is_refused(kafka_settings: KafkaSettings) -> None:
    """State of another version is neither guessed at nor dropped: a person decides."""
    apply_topics(kafka_settings, partitions=1)
    producer = Producer({**kafka_settings.client_config()})
    topic = f"{kafka_settings.topic_prefix}episodes-state-changelog"
    producer.produce(topic, key=b"run/agent/1", value=b"\xff")
    assert producer.flush(15) == 0
    said = refuses("episodes", kafka_settings)
    assert topic in said
    assert "cannot be read by this version" in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [("RUNBUS_STREAMS_SESSION_SECONDS", "soon"), ("RUNBUS_EPISODES_IDLE_SECONDS", "-1")],
)
def test_a_bad_setting_is_named(variable: str, value: str, kafka_settings: KafkaSettings) -> None:
    """The variable and the value, in one line; exit code 2, as for an option."""
    said = refuses("episodes", kafka_settings, code=2, **{variable: value})
    assert variable in said
    assert value in said


def test_a_taken_port_of_the_probes_is_named(kafka_settings: KafkaSettings) -> None:
    """The probes' address is in use: said at once, before anything is read."""
    apply_topics(kafka_settings, partitions=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refuses("live-metrics", kafka_settings, RUNBUS_PROBES_ADDRESS=address)
    assert f"RUNBUS_PROBES_ADDRESS={address}" in said


def test_a_worker_that_waits_for_its_broker_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM before a broker was ever there: it ends with 0, nothing is wrong."""
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with workers("episodes", settings, tmp_path) as started:
        process = started.start()
        until("it waits for Kafka", lambda: "start.waiting" in started.log(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "error" not in started.log(process)


def _ask(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_is_ready_shows_metrics_sends_heartbeats_and_stops(
    kind: str, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """/ready turns to 200 once the partitions are taken over; SIGTERM ends it with 0."""
    apply_topics(kafka_settings, partitions=4)
    port = free_port()
    with workers(kind, kafka_settings, tmp_path, RUNBUS_PROBES_ADDRESS=f"127.0.0.1:{port}") as started:
        process = started.start()
        until("the worker is ready", lambda: _ask(port, "ready")[0] == 200)
        assert json.loads(_ask(port, "ready")[1]) == {"ready": True, "reasons": []}
        assert _ask(port, "live")[0] == 200
        metrics = _ask(port, "metrics")[1]
        assert "runbus_partitions_owned 4.0" in metrics
        assert "runbus_ready 1.0" in metrics
        until("a heartbeat", lambda: bool(TopicReader(kafka_settings).read("heartbeats")))
        started.stop(process)
    (key,) = {message.key() for message in TopicReader(kafka_settings).read("heartbeats")}
    assert key == b"one"
