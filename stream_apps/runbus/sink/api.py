"""Defines what the protocol needs: a lease, a log, a store, a schema resolver, a clock. It uses nothing else.

`log.py` and `store.py` implement it on Kafka and ClickHouse, `memory/` without an engine; the same contract suite runs
on both (tests/integration/sink).

Obligations of every `async` method:

- it may never return: the caller bounds it;
- it may be cancelled, and may still take effect afterwards: so inserts carry tokens and commits are fenced;
- it raises only what its docstring names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from runbus.config.errors import RunBusError
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import DeadLetter, Record, TopicIdPartition
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef
from runbus.sink.container import Container

#: the kind of component, in heartbeats and dead letters
KIND = "sink"


class LostRange(RunBusError):
    """Records between the committed offset and the start of the log were deleted before they were stored."""


class FramedRecord(NamedTuple):
    """One record of the log, and what its framing says.

    Attributes:
        offset: its offset.
        key, value: its bytes.
        timestamp_ms: what the topic keeps, see Record.
        size: bytes that it takes in memory.
        ref: the schema that its framing names; None = no framing.
        start: index of the Avro body in `value`.
        steps: an estimate of its rows, read from its header without decoding it.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    size: int = 0
    ref: SchemaRef | None = None
    start: int = 0
    steps: int = 1

    @property
    def unframed(self) -> Record:
        """The record as the log has it."""
        return Record(self.offset, self.timestamp_ms, self.value, self.key)

    @property
    def schema_id(self) -> str:
        """The schema that its framing names, as text; "" = no framing."""
        return "" if self.ref is None else str(self.ref)


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets [lo, hi] of one partition, announced together. `records` may have gaps."""

    lo: int
    hi: int
    records: tuple[FramedRecord, ...]

    @property
    def steps(self) -> int:
        """Steps of its records."""
        return sum(record.steps for record in self.records)


@dataclass(frozen=True, slots=True)
class Route:
    """The tables of one topic.

    Attributes:
        topic: name without prefix.
        schema: record name its values must have.
        landing: table that takes the inserts.
        target: table that the landing's view fills, one row a step or a value (or a record).
        batched: a record holds several rows (`count` of them), else one.
        wrapped: values are any bytes: each record is wrapped into one of `schema` as it is read (records.py).
        removable: a record without a value says that what its key names was removed, and becomes one of `schema` as it
            is read (records.py).
    """

    topic: str
    schema: str
    landing: str
    target: str
    batched: bool = False
    wrapped: bool = False
    removable: bool = False


@dataclass(frozen=True, slots=True)
class DeletedRange:
    """Offsets [lo, hi] of a partition that were deleted before they were stored."""

    topic: str
    topic_id: str
    partition: int
    lo: int
    hi: int
    reason: str = "retention passed the committed offset"


class Clock(Protocol):
    """Tells the time, real or virtual."""

    def now(self) -> float:
        """Return monotonic seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""


class Lease(Protocol):
    """One ownership of one partition, from its assignment to its loss."""

    @property
    def source(self) -> TopicIdPartition:
        """The partition. A topic that is re-created under its name has another id: it is another partition."""

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit the next offset with its intent.

        On return the coordinator has taken it while this lease was the owner, and every later owner reads it.

        Raises:
            Fenced: the partition has another owner.
            LogUnavailable: no answer; it may be committed or not.
        """

    async def confirm(self) -> None:
        """Check that what was read so far came from the topic of this id.

        Raises:
            Fenced: the topic was deleted, or re-created under its name.
            LogUnavailable: no answer.
        """


class Log(Protocol):
    """Writes dead letters to the log."""

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter; on return the log has it.

        Raises:
            LogUnavailable: it may be there, or be there twice.
            RunBusError: a person has to act.
        """


class Store(Protocol):
    """Inserts into the tables and counts their rows. Raises StoreError: its class says what the caller does next."""

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert one Avro container as one block under a deduplication token.

        On return the server has acknowledged it. If the token was ever sent before, this does NOT promise the rows: the
        server answers from its log of tokens, which it writes before the rows. After a StoreError the insert may have
        happened, may happen later, or never: only the same token again is safe.
        """

    async def rows(self, route: Route, partition: TopicIdPartition, lo: int, hi: int) -> dict[int, int]:
        """Return offset -> number of rows in `route.target`, for the offsets [lo, hi]; absent = none."""

    async def newest(self, route: Route, partition: TopicIdPartition, lo: int) -> int:
        """Return the highest offset from `lo` on that has rows in `route.target`; -1 = none."""

    async def sequence(self, route: Route, partition: TopicIdPartition, offset: int) -> set[int]:
        """Return the `seq` of the rows of one record of a batched route."""

    async def record_lost(self, deleted: DeletedRange) -> None:
        """Keep a deleted range; the same range again changes nothing."""


class SchemaResolver(Protocol):
    """Finds the schema that wrote a value."""

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema; may ask a registry. Raises like `Codec.resolve`."""
