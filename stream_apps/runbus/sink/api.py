"""The contract between the protocol and the world: a log, a store, a clock.

The protocol (protocol.py) touches nothing else, so a run is decided by what these return, and in which order.
`memory.py` implements all three without an engine; `log.py` and `store.py` are Kafka and ClickHouse.

What every `async` method here may do: take for ever (the caller bounds it), be cancelled, or raise what its docstring
names. A cancelled call may still take effect later: that is why inserts carry tokens and commits are fenced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from runbus.config.errors import RunBusError
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import DeadLetter, Record, TopicPartition
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef
from runbus.sink.container import Container

#: what kind of component this is, in heartbeats and dead letters
KIND = "sink"


class LostRange(RunBusError):
    """Records between the committed offset and the start of the log were deleted before they were stored."""


class FramedRecord(NamedTuple):
    """One record of the log, with what its framing says.

    Attributes:
        offset: its offset.
        key, value: its bytes.
        timestamp_ms: what its producer set.
        size: bytes it holds in memory.
        ref: the schema that its framing names; None = not framed.
        start: where the Avro body starts in `value`.
        steps: rows it will become, read from its header without decoding it: an estimate.
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
        """The schema that its framing names, as text; "" = none."""
        return "" if self.ref is None else str(self.ref)


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The range [lo, hi] of one partition: the unit of an intent and of an insert. `records` may have gaps."""

    lo: int
    hi: int
    records: tuple[FramedRecord, ...]

    @property
    def steps(self) -> int:
        """Steps of its records."""
        return sum(record.steps for record in self.records)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one topic's records go.

    Attributes:
        topic: name without prefix.
        schema: record name its values must have.
        landing: table that takes the wrapped records.
        target: table that the landing's view fills, one row a step (or a record).
        batched: a record holds several rows (`count` of them), else one.
        wrapped: values are any bytes: each record is wrapped into one of `schema` as it is read (records.py).
    """

    topic: str
    schema: str
    landing: str
    target: str
    batched: bool = False
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Offsets [lo, hi] of a partition that were deleted before they were stored."""

    topic: str
    topic_id: str
    partition: int
    lo: int
    hi: int
    reason: str = "retention passed the committed offset"


class Clock(Protocol):
    """Time as a value."""

    def now(self) -> float:
        """Return monotonic seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""


class Source(Protocol):
    """One partition of one topic, which a re-created one of the same name is not."""

    @property
    def position(self) -> TopicPartition:
        """The partition."""

    @property
    def topic_id(self) -> str:
        """Id of the topic that the records come from."""


class Lease(Source, Protocol):
    """One ownership of one partition, from its assignment to its loss."""

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit the next offset with its intent, synchronously.

        A normal return promises that the group's coordinator took it while this lease was the owner, and that every
        later owner reads it. Raises Fenced where it is not ours any more, LogUnavailable where nobody answered: it may
        then be committed or not.
        """

    async def confirm(self) -> None:
        """Make sure that what was read so far came from the topic `topic_id`.

        Raises Fenced where the topic was deleted or re-created under its name, LogUnavailable where nobody answered.
        """


class Log(Protocol):
    """What the protocol writes to the log besides commits."""

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter and wait until the log has it. Raises LogUnavailable; may then be there twice."""


class Store(Protocol):
    """The tables. Errors are those of runbus.clickhouse.errors, by what the caller does next."""

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert one Avro container as one block under a deduplication token.

        A normal return says that the server acknowledged it. It does NOT promise that the rows are there when the
        token was ever sent before: the server then answers from its log of tokens, which it writes before the rows.
        Raises the five classes of StoreError. After any of them the insert may have happened, may happen later, or
        never: only the same token again is safe.
        """

    async def rows(self, route: Route, lease: Source, lo: int, hi: int) -> dict[int, int]:
        """Return offset -> number of rows in `route.target` for the offsets [lo, hi]; absent = none."""

    async def newest(self, route: Route, lease: Source, lo: int) -> int:
        """Return the highest offset, `lo` or above, of which `route.target` has rows; -1 = none."""

    async def sequence(self, route: Route, lease: Source, offset: int) -> set[int]:
        """Return the `seq` of the rows of one record of a batched route."""

    async def record_lost(self, gone: Gone) -> None:
        """Keep a lost range by its position: the same again changes nothing. Raises like `insert`."""


class SchemaResolver(Protocol):
    """Finds the schema that wrote a value."""

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema. May ask a registry. Raises like `Codec.resolve`."""
