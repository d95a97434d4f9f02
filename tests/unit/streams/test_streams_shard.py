# ruff: noqa: ARG002 - Steps implements a contract
"""One partition without Kafka: what is taken, skipped, refused; and what a crash leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from runbus.kafka.model import Record, TopicIdPartition
from runbus.kafka.topics import EPISODES
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import BatchHeader, StepBatch, encode
from runbus.schemas.codec import Codec, RegistryId
from runbus.schemas.errors import RegistryMissing
from runbus.schemas.events import Heartbeat, RunEvent
from runbus.schemas.known_schemas import KnownSchemas, SchemaNeeded
from runbus.streams.api import NOTHING, AppMetrics, At, Change, Effects, Emission
from runbus.streams.driver import START_MS, Driver
from runbus.streams.shard import POSITION_KEY, OffsetGap, Shard, latest
from tests.support.batches import step_columns

BEAT = Heartbeat(component_id="c", kind="k", sent_at=0, started_at=0, version="")


@dataclass
class Steps:
    """A core that counts the steps of each agent, emits one event a batch, and refuses what comes from `liar`."""

    source: str
    counts: dict[str, int] = field(default_factory=dict)
    ticks: list[At] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    dirty: set[str] = field(default_factory=set)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a count back."""
        self.counts[key.decode()] = int(value)

    def apply(self, batch: StepBatch, at: At) -> Effects:
        """Count."""
        agent = batch.header.agent_id
        if agent == "liar":
            return Effects(refused="not believed", refused_steps=batch.header.count)
        self.counts[agent] = self.counts.get(agent, 0) + batch.header.count
        self.dirty.add(agent)
        return Effects((Emission(EPISODES, agent.encode(), BEAT),))

    def end(self, event: RunEvent, appended_ms: int, at: At) -> Effects:
        """Remember who ended."""
        self.ended.append(event.agent_id)
        return NOTHING

    def tick(self, at: At) -> Effects:
        """Remember when."""
        self.ticks.append(at)
        return NOTHING

    def changes(self) -> list[Change]:
        """Return the counts that changed."""
        dirty, self.dirty = self.dirty, set()
        return [Change(agent.encode(), str(self.counts[agent]).encode()) for agent in sorted(dirty)]

    def size(self) -> dict[str, int]:
        """Return how many agents there are."""
        return {"agents": len(self.counts)}


def batch(agent: str = "a", count: int = 3) -> StepBatch:
    """Return a batch of `count` steps."""
    seq = np.arange(count)
    columns = step_columns(seq, ts=seq, reward=np.ones(count))
    return StepBatch(BatchHeader("run", agent, 1, 0, count, 0, 0), columns)


def value(agent: str = "a", count: int = 3) -> bytes:
    """Return the Kafka value of a batch."""
    return Codec().frame("steps", schema("StepBatch"), encode(batch(agent, count)))


def new_shard(topic_id: str = "t1") -> tuple[Shard, Steps]:
    """Return an empty shard and its core."""
    core = Steps("steps:0")
    shard = Shard(
        TopicIdPartition("steps", topic_id, 0),
        core,
        KnownSchemas(Codec()),
        AppMetrics(),
        app="test",
        clock_us=lambda: 0,
    )
    shard.begin({})
    return shard, core


def records(*values: bytes | None, first: int = 0, at_ms: int = START_MS) -> list[Record]:
    """Return consecutive records."""
    return [Record(first + i, at_ms + i, v) for i, v in enumerate(values)]


def test_a_record_is_taken_once() -> None:
    """What is below the next offset was taken already, whoever sends it again."""
    shard, core = new_shard()
    shard.feed(records(value(), value()))
    shard.feed(records(value(), value(), value()))
    assert core.counts == {"a": 9}
    assert shard.next_offset == 3


def test_a_missing_offset_is_noticed_and_nothing_after_it_is_taken() -> None:
    """Whoever loses a record on the way: the shard stops before the hole."""
    shard, core = new_shard()
    shard.feed(records(value()))
    with pytest.raises(OffsetGap) as gap:
        shard.feed(records(value(), value(), first=2))
    assert (gap.value.expected, gap.value.found) == (1, 2)
    assert core.counts == {"a": 3}
    shard.feed(records(value(), value(), value(), first=1))
    assert core.counts == {"a": 12}


def test_offsets_that_the_log_lost_are_counted() -> None:
    """After a confirmed hole the shard goes on, and says how much it skipped."""
    driver = Driver(Steps)
    driver.send(batch())
    shard = driver._shard
    shard.skip_to(5)
    shard.feed(records(value(), first=5))
    assert driver.metrics.skipped_offsets == 4


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (None, "no value"),
        (b"", "no value"),
        (b"garbage", "neither"),
        (value()[:-4], "StepBatch"),
        (b"\xc3\x01" + bytes(8) + b"x", "fingerprint"),
        (Codec().frame("t", schema("Heartbeat"), BEAT.encode()), "Heartbeat where a StepBatch"),
    ],
    ids=["tombstone", "empty", "garbage", "truncated", "unknown-schema", "other-record"],
)
def test_poison_becomes_a_dead_letter_and_the_app_goes_on(bad: bytes | None, error: str) -> None:
    """A record that cannot be read is kept as it was, with its position and why; the next one is taken."""
    driver = Driver(Steps)
    for record in (batch(), bad, batch()):
        driver.send(record)
    driver.commit()
    (letter,) = driver.letters
    assert letter.record.value == bad
    assert letter.key == "steps-0-1"
    assert error in letter.error
    assert dict(letter.headers)["offset"] == b"1"
    assert driver.state[b"a"] == b"6"


def test_what_a_core_refuses_becomes_a_dead_letter() -> None:
    """The core says why, and for how many steps."""
    driver = Driver(Steps)
    driver.send(batch("liar", 7))
    driver.commit()
    assert [letter.error for letter in driver.letters] == ["not believed"]
    assert driver.metrics.refused_steps == 7


def test_a_registry_is_asked_for_outside_and_the_record_waits() -> None:
    """A schema id that is not known yet stops before the record, and nothing is lost or taken twice."""
    shard, core = new_shard()
    confluent = b"\x00" + (7).to_bytes(4, "big") + encode(batch())
    with pytest.raises(SchemaNeeded) as needed:
        shard.feed(records(value(), confluent, value()))
    assert needed.value.ref == RegistryId(7)
    assert shard.next_offset == 1
    with pytest.raises(RegistryMissing):
        asyncio.run(shard._schemas.learn(needed.value.ref))
    shard._schemas._known[needed.value.ref] = schema("StepBatch")
    shard.feed(records(value(), confluent, value()))
    assert core.counts == {"a": 9}


def test_a_value_of_a_schema_that_cannot_be_read_is_a_dead_letter() -> None:
    """What the registry has under an id may be no Avro, or lack a column: the app goes on without it."""

    class Registry:
        def id_of(self, topic: str, schema: AvroSchema) -> int:
            raise NotImplementedError

        def schema(self, schema_id: int) -> AvroSchema:
            return AvroSchema.from_json('{"type": "string"}')

    shard, core = new_shard()
    shard._schemas.codec = Codec(Registry())
    asyncio.run(shard._schemas.learn(RegistryId(7)))
    shard.feed(records(value(), b"\x00" + (7).to_bytes(4, "big") + encode(batch()), value()))
    assert core.counts == {"a": 6}
    (letter,) = shard.collect().letters
    assert "not an Avro record schema" in letter.error


def test_stream_time_is_the_brokers_and_never_goes_back() -> None:
    """The core's time moves before the record that moved it is applied; an older record does not turn it back."""
    shard, core = new_shard()
    shard.feed([Record(0, 1000, value()), Record(1, 5000, value()), Record(2, 2000, value())])
    assert [at.watermark_ms for at in core.ticks] == [1000, 5000]
    assert [at.offset for at in core.ticks] == [0, 1]
    shard.tick(4000)
    shard.tick(None)
    shard.tick(7000)
    assert [at.watermark_ms for at in core.ticks[2:]] == [5000, 5000, 7000]


def test_a_crash_loses_what_was_not_committed_and_the_log_gives_it_again() -> None:
    """State, results and offset go together: after a crash everything is there once."""
    driver = Driver(Steps)
    driver.send(batch())
    driver.commit()
    driver.send(batch())
    driver.send(batch("b"))
    driver.crash()
    driver.commit()
    driver.crash()
    driver.commit()
    assert {k: v for k, v in driver.state.items() if k != POSITION_KEY} == {b"a": b"6", b"b": b"3"}
    assert [e.key for e in driver.emitted] == [b"a", b"a", b"b"]


def test_state_of_a_deleted_topic_is_given_up() -> None:
    """A topic that was created anew under the name has other records at the same offsets."""
    shard, _ = new_shard("t1")
    shard.feed(records(value()))
    state = latest([(c.key, c.value) for c in shard.collect().changes])
    core = Steps("steps:0")
    other = Shard(TopicIdPartition("steps", "t2", 0), core, KnownSchemas(Codec()), AppMetrics(), app="test")
    assert not other.begin(state)
    assert (other.next_offset, core.counts) == (-1, {})
    assert Change(b"a", None) in other.collect().changes


def test_state_without_a_position_is_refused() -> None:
    """Nobody knows where to read on: better to say so than to count twice."""
    shard, _ = new_shard()
    with pytest.raises(ValueError, match="no position"):
        shard.begin({b"a": b"1"})


def test_the_end_of_a_stream_reaches_the_core_again_after_a_crash() -> None:
    """Ends come from another topic, so they are told anew to a core that was restored."""
    driver = Driver(Steps)
    driver.end(RunEvent(run_id="r", agent_id="a", attempt=1, kind="FINISHED", sent_at=0, started_at=0))
    driver.crash()
    assert isinstance(driver.core, Steps)
    assert driver.core.ended == ["a"]


def test_a_changelog_is_what_its_newest_records_say() -> None:
    """The last value of a key counts; a key without a value is gone."""
    assert latest([(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None)]) == {b"a": b"2"}
