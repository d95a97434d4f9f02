"""The stream of an agent as typed events: both framings, what cannot be read, when a record is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from runbus.config.errors import InvalidValue
from runbus.faust import (
    EventSerializer,
    LogTopic,
    annotation_events,
    episodes,
    heartbeats,
    live_metrics,
    new_app,
    runs,
    steps,
)
from runbus.faust import topics as module
from runbus.kafka.settings import KafkaSettings
from runbus.reader import Annotation, At, LogEvent, Steps, Unreadable
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import BatchHeader, StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryUnavailable
from runbus.schemas.events import Annotation as Note
from runbus.schemas.events import Heartbeat
from runbus.schemas.known_schemas import KnownSchemas
from tests.support.batches import step_columns

KAFKA = KafkaSettings("nowhere:1", topic_prefix="lab.")
BEAT = Heartbeat(component_id="c", kind="sink", sent_at=1, started_at=1, version="0")


class Registry:
    """A registry that has one id, of a record of that name, and does not answer the first questions."""

    def __init__(self, name: str, away: int = 0) -> None:
        self.name, self.away = name, away

    def id_of(self, _topic: str, _schema: AvroSchema) -> int:
        """Return the only id."""
        return 7

    def schema(self, _schema_id: int) -> AvroSchema:
        """Return what has it."""
        if self.away:
            self.away -= 1
            raise RegistryUnavailable("no schema registry answers")
        return schema(self.name)


@dataclass
class Event:
    """A record as Faust gives it to an agent: its message at once."""

    value: bytes | None
    offset: int
    acknowledged: list[int]
    topic: str = "lab.steps"
    partition: int = 2
    key: bytes | None = b"run/a"
    timestamp: float = 1_790_000_000.25

    @property
    def message(self) -> Event:
        """The message."""
        return self

    def ack(self) -> None:
        """Remember it."""
        self.acknowledged.append(self.offset)


@dataclass
class Stream:
    """An agent's stream of these values; remembers what was acknowledged."""

    values: list[bytes | None]
    acknowledged: list[int] = field(default_factory=list)

    def noack(self) -> Stream:
        """Return itself: this is the stream whose acknowledgements are the agent's."""
        return self

    async def events(self) -> AsyncIterator[Any]:
        """Yield Faust's events."""
        for offset, value in enumerate(self.values):
            yield Event(value, offset, self.acknowledged)


class Tombstones(Stream):
    """A stream of a compacted topic: every record has the key of one annotation."""

    async def events(self) -> AsyncIterator[Any]:
        """Yield Faust's events."""
        for offset, value in enumerate(self.values):
            yield Event(value, offset, self.acknowledged, topic="lab.annotations", key=b"run/a/////tag/best")


def batch(first: int = 0) -> bytes:
    """Return the body of a batch."""
    seq = np.arange(first, first + 3)
    return encode(StepBatch(BatchHeader("run", "a", 1, first, 3, 0, 0), step_columns(seq, seq)))


def taken(topic: LogTopic[Any], stream: Any) -> list[LogEvent]:
    """Return every event."""

    async def take() -> list[LogEvent]:
        return [event async for event in topic.events(stream)]

    return asyncio.run(take())


def test_both_framings_are_the_events_of_the_reader_and_poison_is_one_too() -> None:
    """With their places; what this version does not know is told from what is broken."""
    app = new_app("reads", KAFKA)
    app.schemas = KnownSchemas(Codec(Registry("StepBatch")))
    own, confluent = Codec().frame("", schema("StepBatch"), batch()), b"\x00" + (7).to_bytes(4, "big") + batch(3)
    unknown = b"\xc3\x01" + bytes(8) + batch()
    values = [own, confluent, b"garbage", None, unknown, Codec().frame("", schema("Heartbeat"), BEAT.encode())]
    first, second, *rest = taken(steps(app), Stream(values))
    assert isinstance(first, Steps)
    assert isinstance(second, Steps)
    assert first.at == At("lab.steps", 2, 0, 1_790_000_000_250, b"run/a")
    assert [first.seq.tolist(), second.seq.tolist()] == [[0, 1, 2], [3, 4, 5]]
    reasons = []
    for event in rest:
        assert isinstance(event, Unreadable)
        reasons.append((event.at.offset, event.unknown_schema, event.reason.split(":")[0]))
    assert reasons == [
        (2, False, "neither Avro single-object encoding nor Confluent framing"),
        (3, False, "neither Avro single-object encoding nor Confluent framing"),
        (4, True, "fingerprint 0000000000000000"),
        (5, False, "a Heartbeat where a StepBatch is expected"),
    ]


def test_a_registry_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is skipped, and nothing is called unreadable."""
    monkeypatch.setattr(module, "_REGISTRY_S", 0.0)
    app = new_app("waits", KAFKA)
    app.schemas = KnownSchemas(Codec(Registry("StepBatch", away=3)))
    (event,) = taken(steps(app), Stream([b"\x00" + (7).to_bytes(4, "big") + batch()]))
    assert isinstance(event, Steps)


def test_a_record_is_acknowledged_when_the_agent_comes_for_the_next() -> None:
    """So the one at which it fails is not."""
    app, stream = new_app("acknowledges", KAFKA), Stream([b"0", b"1", b"2"])

    async def agent() -> None:
        async for event in steps(app).events(stream):  # type: ignore[arg-type]
            assert stream.acknowledged == list(range(event.at.offset))
            if event.at.offset == 1:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(agent())
    assert stream.acknowledged == [0]


def test_each_topic_is_read_as_bytes_and_known_to_the_app() -> None:
    """So none of them is made by it, or missing without a word."""
    app = new_app("all", KAFKA)
    for make in (steps, runs, episodes, live_metrics, heartbeats):
        topic = make(app).topic
        assert (topic.key_serializer, topic.value_serializer) == ("raw", "raw")
    assert app.read == {f"lab.{name}" for name in ("steps", "runs", "episodes", "live-metrics", "heartbeats")}


def test_events_are_written_in_a_framing_and_read_in_both() -> None:
    """And what is no such event is refused."""
    plain, framed = EventSerializer(Heartbeat), EventSerializer(Heartbeat, Codec(Registry("Heartbeat")), "lab.beats")
    assert plain.dumps(BEAT)[:2] == b"\xc3\x01"
    assert framed.dumps(BEAT)[:5] == b"\x00" + (7).to_bytes(4, "big")
    assert plain.loads(plain.dumps(BEAT)) == framed.loads(framed.dumps(BEAT)) == framed.loads(plain.dumps(BEAT)) == BEAT
    assert framed.clone().loads(framed.dumps(BEAT)) == BEAT
    with pytest.raises(InvalidValue, match="neither Avro"):
        plain.loads(b"garbage")


def test_a_tombstone_of_an_annotation_is_its_removal() -> None:
    """It is no poison: it says that what its key names holds no more."""
    note = Note(run_id="run", agent_id="a", kind="tag", name="best", author="me@here", sent_at=1)
    values = [Codec().frame("", schema("Annotation"), note.encode()), None]
    said, removed = taken(annotation_events(new_app("annotated", KAFKA)), Tombstones(values))
    assert isinstance(said, Annotation)
    assert isinstance(removed, Annotation)
    assert (said.name, said.removed, said.author) == ("best", False, "me@here")
    assert (removed.name, removed.removed, removed.sent_at) == ("best", True, 1_790_000_000_250_000)
