"""What the audit reads from a real log and a real ClickHouse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from runbus.audit.log import LogReader
from runbus.audit.reconciliation import Logged, StreamSums
from runbus.audit.stream_audit import audit
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.errors import BrokerUnavailable, TopicMissing
from runbus.kafka.headers import RESENT
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import METRICS, RUNS, STEPS, run_event_key, stream_key
from runbus.recorder import Recorder, RunBus
from runbus.schemas import metric_batch
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.schemas.metric_batch import MetricHeader
from tests.support.batches import make_metrics, step_columns

pytestmark = pytest.mark.integration

GROUP = "auditor"


def _batch(run: str, first_seq: int, count: int, dropped: int = 0) -> bytes:
    index = np.arange(count)
    columns = step_columns(index, ts=index, reward=np.ones(count))
    body = encode(StepBatch(BatchHeader(run, "a", 1, first_seq, count, dropped, 5), columns))
    return Codec().frame(STEPS.name, schema("StepBatch"), body)


def _metrics(run: str, source: str, first_seq: int, count: int, dropped: int = 0) -> bytes:
    body = metric_batch.encode(make_metrics(MetricHeader(run, source, 1, first_seq, count, dropped, 5)))
    return Codec().frame(METRICS.name, schema("MetricBatch"), body)


def _finished(run: str, produced: int, dropped: int, name: str = "a", metrics: int = 0) -> bytes:
    event = RunEvent(
        run_id=run,
        agent_id=name,
        role="metrics" if metrics else "",
        metrics=metrics,
        attempt=1,
        kind="FINISHED",
        sent_at=9,
        started_at=1,
        produced=produced,
        dropped=dropped,
    )
    return Codec().frame(RUNS.name, schema("RunEvent"), event.encode())


def _write(
    settings: KafkaSettings, records: list[tuple[str, bytes, bytes]], headers: dict[str, Any] | None = None
) -> None:
    producer = Producer({**settings.client_config(), "partitioner": "murmur2"})
    for topic, key, value in records:
        producer.produce(settings.topic_prefix + topic, value, key, headers=headers)
    assert producer.flush(30) == 0


def test_what_a_journal_sent_again_is_told_from_duplicates(kafka_settings: KafkaSettings) -> None:
    """Only steps of marked records that the log had before: not the new ones in them, and no unmarked repeat."""
    apply_topics(kafka_settings, partitions=1)
    key = stream_key("r", "a")
    _write(kafka_settings, [(STEPS.name, key, _batch("r", 0, 10)), (STEPS.name, key, _batch("r", 5, 5))])
    _write(kafka_settings, [(STEPS.name, key, _batch("r", 8, 6))], {RESENT: b"1"})
    assert LogReader(kafka_settings, Codec(), GROUP).streams({}).steps == {("r", "a", 1): Logged(14, 0, 21, resent=2)}


def test_headers_and_ends_add_up_by_stream(kafka_settings: KafkaSettings) -> None:
    """Produced is the highest seq that a header or a FINISHED event names; drops are the highest count named."""
    apply_topics(kafka_settings, partitions=3)
    _write(
        kafka_settings,
        [
            (STEPS.name, stream_key("r1", "a"), _batch("r1", 0, 10)),
            (STEPS.name, stream_key("r1", "a"), _batch("r1", 15, 5, dropped=5)),
            (STEPS.name, stream_key("r2", "a"), _batch("r2", 0, 7)),
            (STEPS.name, stream_key("r2", "a"), b"poison"),
            (RUNS.name, run_event_key("r2", "a", 1), _finished("r2", 9, 2)),
            (RUNS.name, run_event_key("r3", "a", 1), _finished("r3", 4, 4)),
            (METRICS.name, stream_key("r1", "a"), _metrics("r1", "a", 0, 3)),
            (METRICS.name, stream_key("r1", "a"), _metrics("r1", "a", 5, 3, dropped=2)),
            (METRICS.name, stream_key("r3", "learner-0"), _metrics("r3", "learner-0", 0, 4)),
            (RUNS.name, run_event_key("r3", "learner-0", 1), _finished("r3", 0, 0, "learner-0", metrics=6)),
        ],
    )
    reader = LogReader(kafka_settings, Codec(), GROUP)
    found = reader.streams({})
    assert found.steps == {
        ("r1", "a", 1): Logged(20, 5, 15),
        ("r2", "a", 1): Logged(9, 2, 7, finished=True),
        ("r3", "a", 1): Logged(4, 4, 0, finished=True),
    }
    assert found.metrics == {
        ("r1", "a", 1): Logged(8, 2, 6),
        ("r3", "learner-0", 1): Logged(6, 0, 4, finished=True),
    }
    assert reader.unreadable == 1
    assert set(LogReader(kafka_settings, Codec(), GROUP).streams({}, "r1").steps) == {("r1", "a", 1)}


def test_what_is_below_the_cursor_is_not_in_flight(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings
) -> None:
    """Ten steps below the committed offset that ClickHouse does not have are missing; five above it are in flight."""
    apply_topics(kafka_settings, partitions=1)
    migrate(clickhouse_settings)
    key = stream_key("r", "a")
    _write(kafka_settings, [(STEPS.name, key, _batch("r", 0, 10)), (STEPS.name, key, _batch("r", 10, 5))])
    installation = Installation(kafka_settings, clickhouse_settings, Codec(), GROUP)
    assert audit(installation).total == StreamSums(produced=15, in_flight=15)
    _commit(kafka_settings, 1)
    assert audit(installation).total == StreamSums(produced=15, in_flight=5, missing=10)
    assert audit(installation, "another").total == StreamSums()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_a_full_queue_dropped_is_in_the_audit(
    kafka_settings: KafkaSettings,
    clickhouse_settings: ClickHouseSettings,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    """A recorder that overfills its queue loses nothing silently: produced = in flight + dropped, missing = 0."""
    apply_topics(kafka_settings, partitions=1)
    migrate(clickhouse_settings)
    monkeypatch.setenv("RUNBUS_RECORDER_QUEUE_MB", "1")
    monkeypatch.setenv("RUNBUS_RECORDER_POLICY", policy)
    recorder = Recorder("r", "a", bus=RunBus(), settings=kafka_settings, observations="all")
    large = np.zeros(100_000)
    recorder.reset(large)
    for _ in range(199):
        recorder.step(0, 1.0, False, False, large)
    recorder.close()
    assert recorder.flush(60)
    dropped = recorder.stats()["dropped"]
    total = audit(Installation(kafka_settings, clickhouse_settings, Codec(), GROUP)).total
    assert isinstance(dropped, int)
    assert 0 < dropped < 200
    assert total == StreamSums(produced=200, dropped=dropped, in_flight=200 - dropped)


def _commit(settings: KafkaSettings, offset: int) -> None:
    consumer = Consumer({**settings.client_config(), "group.id": GROUP})
    consumer.commit(offsets=[TopicPartition(settings.topic_prefix + STEPS.name, 0, offset)], asynchronous=False)
    consumer.close()


def test_a_log_that_is_not_there_is_told_clearly(kafka_settings: KafkaSettings) -> None:
    """Without topics the text names the command; without a broker it names the address."""
    with pytest.raises(TopicMissing, match="runbus topics apply"):
        LogReader(kafka_settings, Codec(), GROUP).streams({})
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        LogReader(nobody, Codec(), GROUP).committed(STEPS)
