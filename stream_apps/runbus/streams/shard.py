"""Runs the core of one partition without Kafka: raw records in, what to commit out.

    begin(entries)           take the state back as the changelog holds it; `next_offset` is then the first to read
    feed(records)            decode, skip what is known, check that no offset is missing, call the core
    end(event), tick(...)    the other two things that reach a core
    collect()                everything since the last `collect`, to be committed as one

Exactness rests on two rules that are checked here: a record below `next_offset` has been taken already, and a record
above it means that something is missing (`OffsetGap`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from runbus.config.errors import InvalidValue, RunBusError
from runbus.kafka.model import DeadLetter, Record, StreamId, TopicIdPartition
from runbus.schemas.batch import BatchHeader, StepBatch, decode
from runbus.schemas.codec import SchemaRef, split
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.schemas.known_schemas import KnownSchemas
from runbus.streams.api import AppMetrics, At, Change, Core, Effects, Emission

#: Keys of the changelog that are not the core's begin so: a stream's key has no control character.
_RESERVED = b"\x00"
POSITION_KEY = b"\x00position"
FENCE_KEY = b"\x00fence"
#: Before the key of a stream that a reset kept as it was; the value is the offset that its state goes up to (reset.py).
KEPT_PREFIX = b"\x00kept/"


@dataclass(frozen=True, slots=True)
class SavedPosition:
    """What the changelog holds under POSITION_KEY: where the state stands.

    Attributes:
        topic_id: of the source.
        next_offset: first offset that is not in the state.
        watermark_ms: stream time.
    """

    topic_id: str
    next_offset: int
    watermark_ms: int

    def encode(self) -> bytes:
        """Return it as bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> SavedPosition:
        """Return what `encode` wrote. Raises ValueError, KeyError."""
        saved = json.loads(data)
        return cls(saved["topic_id"], saved["next_offset"], saved["watermark_ms"])


@dataclass(frozen=True, slots=True)
class PendingCommit:
    """What is to be committed as one."""

    next_offset: int
    changes: list[Change]
    emissions: list[Emission]
    letters: list[DeadLetter]


class OffsetGap(Exception):
    """Offsets `expected` to `found - 1` did not come."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"offset {found} came where {expected} was expected")
        self.expected = expected
        self.found = found


class Shard:
    """One partition of `steps` without Kafka.

    Args:
        source: the partition.
        core: of this partition, empty.
        schemas: shared by the partitions of a process.
        metrics: of the process.
        app: name for dead letters.
        clock_us: wall clock, microseconds since the epoch.
    """

    def __init__(
        self,
        source: TopicIdPartition,
        core: Core,
        schemas: KnownSchemas,
        metrics: AppMetrics,
        *,
        app: str,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.source = source
        self.core = core
        self.next_offset = -1  # not known: the first record decides
        self.watermark_ms = 0
        self._schemas = schemas
        self._metrics = metrics
        self._app = app
        self._clock_us = clock_us
        self._emissions: list[Emission] = []
        self._letters: list[DeadLetter] = []
        self._changes: list[Change] = []
        self._collected = -1
        self._kept: dict[bytes, int] = {}

    def begin(self, entries: Mapping[bytes, bytes]) -> bool:
        """Take the state back; return whether it belongs to this topic.

        State of a topic that was deleted and created anew is given up: its offsets mean nothing here.

        Raises ValueError: it is no state of this version.
        """
        position = entries.get(POSITION_KEY)
        if position is None:
            if entries.keys() - {FENCE_KEY}:
                raise ValueError("there is state and no position")
            return True
        saved = SavedPosition.decode(position)
        if saved.topic_id != self.source.topic_id:
            self._changes = [Change(key, None) for key in entries if key not in (POSITION_KEY, FENCE_KEY)]
            return False
        self.next_offset = self._collected = saved.next_offset
        self.watermark_ms = saved.watermark_ms
        for key, value in entries.items():
            if key.startswith(KEPT_PREFIX):
                self._kept[key.removeprefix(KEPT_PREFIX)] = int(value)
            elif key not in (POSITION_KEY, FENCE_KEY):
                self.core.restore(key, value)
        return True

    def feed(self, records: Sequence[Record]) -> None:
        """Take records in order. Raises OffsetGap, SchemaNeeded: what came before is taken, the rest can come again."""
        for record in records:
            if record.offset < self.next_offset:
                continue
            if record.offset > self.next_offset >= 0:
                raise OffsetGap(self.next_offset, record.offset)
            self._take(record)
            self.next_offset = record.offset + 1

    def skip_to(self, offset: int) -> None:
        """Go on at `offset`: what is before it is not in the log any more."""
        self._metrics.skipped_offsets += max(0, offset - self.next_offset) if self.next_offset >= 0 else 0
        self.next_offset = offset

    def end(self, event: RunEvent, appended_ms: int) -> None:
        """Take the end of a stream."""
        self._effects(self.core.end(event, appended_ms, self._at()), None, "")

    def tick(self, caught_up_ms: int | None = None) -> None:
        """Let time pass.

        Args:
            caught_up_ms: if nothing is left to read: a broker time up to which everything was read.
        """
        if caught_up_ms is not None:
            self.watermark_ms = max(self.watermark_ms, caught_up_ms)
        self._effects(self.core.tick(self._at()), None, "")

    def take_emissions(self) -> list[Emission]:
        """Return what was emitted since the last call of this or of `collect`."""
        emissions, self._emissions = self._emissions, []
        return emissions

    @property
    def behind_commit(self) -> bool:
        """Whether there is something to collect."""
        return bool(self.next_offset != self._collected or self._emissions or self._letters or self._changes)

    def collect(self) -> PendingCommit:
        """Return everything since the last call; it must be committed, or the process must end."""
        changes = [*self._changes, *_checked(self.core.changes()), *self._forget_kept()]
        position = SavedPosition(self.source.topic_id, self.next_offset, self.watermark_ms)
        changes.append(Change(POSITION_KEY, position.encode()))
        pending = PendingCommit(self.next_offset, changes, self.take_emissions(), self._letters)
        self._letters, self._changes, self._collected = [], [], self.next_offset
        self._metrics.dead_letters += len(pending.letters)
        return pending

    def _take(self, record: Record) -> None:
        ref: SchemaRef | None = None
        try:
            ref, start = split(record.value)
            batch = decode((record.value or b"")[start:], self._schemas.find(ref, "StepBatch"))
        except (InvalidValue, UnknownSchema) as error:
            self._letters.append(self._letter(record, str(error), ref))
            return
        self._metrics.records += 1
        self._metrics.steps += batch.header.count
        if record.timestamp_ms > self.watermark_ms:
            self.watermark_ms = record.timestamp_ms
            self._effects(self.core.tick(self._at(record.offset)), None, "")
        if not (self._kept and self._is_known(batch.header, record.offset)):
            self._effects(self._applied(batch, record), record, str(ref))

    def _applied(self, batch: StepBatch, record: Record) -> Effects:
        try:
            return self.core.apply(batch, self._at(record.offset))
        except Exception as error:
            error.add_note(f"{self._app} was taking {self.source} offset {record.offset}")
            raise

    def _is_known(self, header: BatchHeader, offset: int) -> bool:
        """Return whether a reset kept the record's stream, whose state holds the record already."""
        stream = StreamId(header.run_id, header.agent_id, header.attempt)
        return offset < self._kept.get(str(stream).encode(), 0)

    def _forget_kept(self) -> list[Change]:
        """Return what deletes the streams that a reset kept, once everything that their state holds is passed."""
        if not self._kept or self.next_offset < max(self._kept.values()):
            return []
        kept, self._kept = self._kept, {}
        return [Change(KEPT_PREFIX + key, None) for key in kept]

    def _effects(self, effects: Effects, record: Record | None, schema_id: str) -> None:
        if effects.emissions:
            self._emissions.extend(effects.emissions)
            self._metrics.emitted += len(effects.emissions)
        if effects.refused and record is not None:
            self._metrics.refused_steps += effects.refused_steps
            self._letters.append(DeadLetter(self._app, self.source, record, effects.refused, schema_id))

    def _letter(self, record: Record, error: str, ref: SchemaRef | None) -> DeadLetter:
        return DeadLetter(self._app, self.source, record, error, "" if ref is None else str(ref))

    def _at(self, offset: int | None = None) -> At:
        return At(self.next_offset if offset is None else offset, self.watermark_ms, self._clock_us())


def _checked(changes: list[Change]) -> list[Change]:
    """Refuse a key that would be taken for one of the shard's own."""
    for change in changes:
        if change.key[:1] == _RESERVED:
            raise RunBusError(f"the core keeps state under {change.key!r}: a key may not begin with a zero byte")
    return changes


def latest(entries: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes]:
    """Return the newest value of each key of a changelog, as compaction would leave them."""
    state: dict[bytes, bytes] = {}
    for key, value in entries:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
    return state
