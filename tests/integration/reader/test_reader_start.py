"""Where a reader begins, and which partitions it reads, on a real broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import DeletedRecords

from runbus.config.errors import ConfigError
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import BrokerUnavailable, TopicMissing
from runbus.kafka.model import TopicPartition
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.reader import Offset, Reader, RecordsDeleted, Seq
from runbus.reader.start import Start
from tests.integration.reader.log import AGENT, ATTEMPT, RUN, Log, batch, seqs, take
from tests.support.waiting import until

pytestmark = pytest.mark.integration

PARTITION = partition_of(stream_key(RUN, AGENT), 3)


def place(settings: KafkaSettings) -> TopicPartition:
    """Return the partition of the streams."""
    return TopicPartition(f"{settings.topic_prefix}steps", PARTITION)


def test_each_start_begins_where_it_says(settings: KafkaSettings, log: Log) -> None:
    """Beginning, a time, so long ago, an offset, a position, a step: the first step that comes is that one."""
    log.batches(batch(0), batch(4))
    with Reader(start="beginning", settings=settings) as reader:
        between_ms = take(reader, 2)[1].at.timestamp_ms + 1
        until("another millisecond has begun", lambda: time.time_ns() // 1_000_000 > between_ms)
    log.batches(batch(8), batch(12))
    cases: list[tuple[Start, int]] = [
        ("beginning", 0),
        (datetime.fromtimestamp(between_ms / 1000, UTC), 8),
        (timedelta(hours=1), 0),
        (Offset(3), 12),
        ({place(settings): 1}, 4),
        (Seq(6), 6),
        (Seq(9, ATTEMPT), 9),
    ]
    for start, first in cases:
        with Reader(run=RUN, agent=AGENT, start=start, settings=settings) as reader:
            events = take(reader, 1)
            assert seqs(events)[0] == first, start
            while seqs(events)[-1] < 15:
                events += take(reader, 1)
            assert seqs(events) == list(range(first, 16)), start
    with Reader(start=datetime.now(UTC), settings=settings) as reader:
        assert reader.poll(1) is None
        log.batches(batch(16))
        assert seqs(take(reader, 1)) == [16, 17, 18, 19]


def test_latest_is_what_comes_from_now_on_and_a_commit_keeps_it(settings: KafkaSettings, log: Log) -> None:
    """A cursor that was committed before anything came is where the next reader of the name begins."""
    log.batches(batch(0))
    with Reader("late", start="latest", settings=settings) as reader:
        reader.lag()  # it has its partitions
        assert sum(reader.commit().values()) == 1
    log.batches(batch(4))
    with Reader("late", settings=settings) as reader:
        assert seqs(take(reader, 1)) == [4, 5, 6, 7]
    with Reader("new", otherwise="latest", settings=settings) as reader:
        reader.lag()
        log.batches(batch(8))
        assert seqs(take(reader, 1)) == [8, 9, 10, 11]


def test_one_agent_is_read_from_its_partition_only(settings: KafkaSettings, log: Log) -> None:
    """Nothing else is fetched or committed; a run alone can be anywhere, and others are passed over by key."""
    agents = [f"agent-{n}" for n in range(9)]
    log.batches(*[batch(0, agent=agent) for agent in agents], *[batch(0, run="run-2", agent=agent) for agent in agents])
    with Reader("one", run=RUN, agent="agent-3", settings=settings) as reader:
        assert seqs(take(reader, 1)) == [0, 1, 2, 3]
        until("all was looked at", lambda: reader.poll(0.01) is None and reader.lag().events == 0)
        only = TopicPartition(f"{settings.topic_prefix}steps", partition_of(stream_key(RUN, "agent-3"), 3))
        assert set(reader.positions) == {only}
        mine = [a for a in agents if partition_of(stream_key(RUN, a), 3) == only.partition]
        others = [a for a in agents if partition_of(stream_key("run-2", a), 3) == only.partition]
        assert reader.stats()["passed_over"] == len(mine) - 1 + len(others)
        assert set(reader.commit()) == {only}
    with Reader(run="run-?", agent="agent-[12]", start="beginning", settings=settings) as reader:
        found = take(reader, 4)
        assert {e.at.key for e in found} == {f"run-{r}/agent-{a}".encode() for r in (1, 2) for a in (1, 2)}


def test_the_cursor_passes_what_is_not_wanted(settings: KafkaSettings, log: Log) -> None:
    """Records of other runs leave no lag behind, and a restart does not look at them again."""
    log.batches(batch(0), *[batch(0, run="other") for _ in range(5)])
    with Reader("filtered", run=RUN, settings=settings) as reader:
        take(reader, 1)
        until("the rest is passed over", lambda: reader.poll(0.01) is None and reader.lag().events == 0)
        assert sum(reader.commit().values()) == 6
    with Reader("filtered", run=RUN, settings=settings) as reader:
        assert (reader.lag().events, reader.stats()["passed_over"]) == (0, 0)


def test_records_that_were_deleted_are_told(settings: KafkaSettings, log: Log) -> None:
    """A cursor that retention has overtaken goes on where the log does, and says what is gone."""
    log.batches(batch(0))
    with Reader("overtaken", settings=settings) as reader:
        take(reader, 1)
        reader.commit()
    log.batches(batch(4), batch(8), batch(12))
    asked = [ClientPartition(*place(settings), 3)]
    deleted: DeletedRecords = admin_client(settings).delete_records(asked)[asked[0]].result(30)
    assert deleted.low_watermark == 3
    with Reader("overtaken", settings=settings) as reader:
        told, event = take(reader, 2)
        assert isinstance(told, RecordsDeleted)
        assert (told.first, told.last, told.at.offset) == (1, 2, 3)
        assert seqs([event]) == [12, 13, 14, 15]
        assert reader.stats()["missing"] == 0
        reader.commit()
        assert reader.lag().events == 0


def test_what_a_person_has_to_mend_is_one_sentence(settings: KafkaSettings) -> None:
    """A topic that is not there, a broker that does not answer; and it stays so until it is mended."""
    missing = KafkaSettings(settings.bootstrap_servers, topic_prefix=f"{settings.topic_prefix}not.")
    with Reader(start="beginning", settings=missing) as reader:
        for _ in range(2):
            with pytest.raises(TopicMissing, match="run `runbus topics apply`"):
                reader.poll(60)


def test_a_reader_without_a_name_commits_nothing(settings: KafkaSettings, log: Log) -> None:
    """There is nowhere to keep it: the error says what to do."""
    log.batches(batch(0))
    with Reader(start="beginning", settings=settings) as reader:
        take(reader, 1)
        with pytest.raises(ConfigError, match="give it a name"):
            reader.commit()


def test_no_broker_is_an_error_after_half_a_minute_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that starts at the same time is waited for."""
    monkeypatch.setattr("runbus.reader.client.BROKER_S", 2.0)
    with Reader(start="beginning", settings=KafkaSettings("127.0.0.1:1")) as reader:
        assert reader.poll(0.2) is None
        with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
            reader.poll(60)
