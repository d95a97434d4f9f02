"""Metrics on a real broker: from several processes, beside steps, and where their topic is missing."""

import json
import logging
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import NewTopic

from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import METRICS, TOPICS
from runbus.recorder import Metrics, Recorder, RunBus
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration
Agent = Callable[..., subprocess.Popen[str]]

LEARNER = """
    import os
    from runbus.recorder import Metrics
    learner = Metrics("run-1", config={"lr": 0.1})
    for step in range(1000):
        learner.log({"loss": step / 2, "eval": {"return": step}}, step=step)
    if os.fork() == 0:
        learner.log({"child": 1.0})
"""


def test_two_processes_under_one_source_name_and_a_fork_are_all_kept(
    settings: KafkaSettings, topic_log: Any, agent: Agent
) -> None:
    """Each process is an attempt of its own, ends by itself, closes nothing and loses nothing."""
    processes = [agent(settings, LEARNER) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    until("the forked children have ended", lambda: len(ends(topic_log)) == 4)
    values: Counter[int] = Counter()
    for batch in topic_log.metrics():
        assert batch.header.first_seq == values[batch.header.attempt]
        values[batch.header.attempt] += batch.header.count
    assert sorted(values.values()) == [1, 1, 2000, 2000]
    assert {attempt: (event.metrics, event.metrics_dropped) for attempt, event in ends(topic_log).items()} == {
        attempt: (count, 0) for attempt, count in values.items()
    }
    assert {event.role for event in topic_log.runs()} == {"metrics"}
    assert {message.key() for message in topic_log.read("metrics")} == {b"run-1/learner-0"}
    assert not topic_log.batches()


def ends(log: Any) -> dict[int, Any]:
    """Return the FINISHED event of each attempt."""
    return {event.attempt: event for event in log.runs() if event.kind == "FINISHED"}


def test_steps_and_metrics_of_a_recorder_are_counted_apart(settings: KafkaSettings, topic_log: Any) -> None:
    """Both are delivered; the heartbeat has each under its own word, the end says both counts."""
    with Recorder("run-1", bus=RunBus(), settings=settings) as recorder:
        recorder.reset(0.0)
        recorder.metrics({"a": 1.0, "b": float("nan")}, step=7)
        recorder.score(0.5, label="good", text="x" * 70_000)
        assert recorder.flush(10)

        def told() -> bool:
            details = [json.loads(beat.detail) for beat in topic_log.heartbeats()]
            return any(detail["metrics"].get(recorder.stream_id) == counts for detail in details)

        counts = {"produced": 3, "delivered": 3, "dropped": 0}
        until("a heartbeat with the metrics", told)
        assert recorder.stats()["metrics"] == {**counts, "in_flight": 0, "left_out": 1}
    assert recorder.flush(10)
    (end,) = ends(topic_log).values()
    assert (end.role, end.produced, end.metrics) == ("", 1, 3)
    (batch,) = topic_log.metrics()
    assert (batch.header.source, batch.header.attempt) == ("agent-0", recorder.attempt)
    assert batch.names == ("a", "b", "reward")
    assert len(topic_log.batches()) == 1


@pytest.fixture
def without_metrics(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return an installation of before: it has every topic but `metrics`."""
    prefix = kafka_settings.topic_prefix
    topics = [NewTopic(prefix + topic.name, num_partitions=1) for topic in TOPICS if topic != METRICS]
    for done in admin_client(kafka_settings).create_topics(topics).values():
        done.result(30)
    return kafka_settings


def test_who_records_steps_only_needs_no_topic_for_metrics(
    without_metrics: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Steps are delivered as before; the first metric waits for its topic, which is said, and nothing is lost."""
    log = TopicReader(without_metrics)
    with Recorder("run-1", bus=RunBus(), settings=without_metrics) as recorder:
        recorder.reset(0.0)
        assert recorder.flush(10)
    assert recorder.flush(10)
    assert len(log.batches()) == 1
    with caplog.at_level(logging.WARNING), Metrics("run-1", bus=RunBus(), settings=without_metrics) as learner:
        learner.log({"loss": 1.0})
        until("it is said", lambda: "runbus topics apply" in caplog.text)
        assert not learner.flush(0.1)
        apply_topics(without_metrics, partitions=1)
        assert learner.flush(30)
    assert [batch.header.count for batch in log.metrics()] == [1]
    assert learner.stats()["delivered"] == 1
