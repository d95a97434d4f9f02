"""A log, a store and a clock in memory, for tests and the simulator: no engine, no thread, no wall time.

They keep the promises of api.py and no more: a store may acknowledge from its log of tokens without having the rows,
because a real server that was killed at the wrong moment does. Every operation passes `Script` before and after its
effect; whatever the script raises there is a fault at exactly that point.
"""

from __future__ import annotations

import asyncio
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import fastavro

from runbus.clickhouse.errors import Configuration, DataError
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, SchemaRef
from runbus.sink.api import Committed, DeadLetter, Fenced, Gone, Intent, Lease, Position, Record, Route

#: called as script(operation, "before" | "after"); it may raise
Script = Callable[[str, str], None]


def no_faults(operation: str, moment: str) -> None:
    """Let everything happen."""


@dataclass(slots=True)
class ManualClock:
    """Time that moves when somebody sleeps."""

    seconds: float = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let that time pass at once; others may run."""
        self.seconds += seconds
        await asyncio.sleep(0)


class LocalSchemas:
    """Schemas of the package, or those of a codec."""

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema; see api.Schemas."""
        return self._codec.resolve(ref)


@dataclass(slots=True)
class MemoryLog:
    """Topics with one consumer group, fenced by generation; an owner of a partition is a `MemoryLease`."""

    script: Script = no_faults
    records: dict[Position, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[Position, Committed] = field(default_factory=dict)
    topic_ids: dict[str, str] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    generations: Counter[Position] = field(default_factory=Counter)

    def lease(self, position: Position) -> MemoryLease:
        """Give the partition to a new owner; every owner before is fenced from now on."""
        self.generations[position] += 1
        return MemoryLease(
            self, position, self.topic_ids.setdefault(position.topic, "id-1"), self.generations[position]
        )

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter; see api.Log."""
        self.script("dead_letter", "before")
        self.dead_letters.append(letter)
        self.script("dead_letter", "after")


@dataclass(frozen=True, slots=True)
class MemoryLease:
    """One ownership; see api.Lease."""

    log: MemoryLog
    at: Position
    id_at_start: str
    generation: int

    @property
    def position(self) -> Position:
        """The partition."""
        return self.at

    @property
    def topic_id(self) -> str:
        """Id of its topic when it was assigned."""
        return self.id_at_start

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit, unless somebody else owns the partition."""
        self.log.script("commit", "before")
        await asyncio.sleep(0)
        if self.log.generations[self.at] != self.generation:
            raise Fenced(f"{self.at} has another owner")
        self.log.committed[self.at] = Committed(offset, Intent.decode(intent.encode()))
        self.log.script("commit", "after")

    async def confirm(self) -> None:
        """Raise Fenced where the topic is another one now."""
        self.log.script("confirm", "before")
        await asyncio.sleep(0)
        if self.log.topic_ids[self.at.topic] != self.id_at_start:
            raise Fenced(f"topic {self.at.topic} was re-created")


#: (target, topic id, partition, offset, seq)
Row = tuple[str, str, int, int, int]


@dataclass(slots=True)
class MemoryStore:
    """Tables behind landings that drop a repeated token."""

    routes: Sequence[Route]
    script: Script = no_faults
    rows_kept: Counter[Row] = field(default_factory=Counter)
    tokens: set[tuple[str, str]] = field(default_factory=set)
    dead_letters: dict[str, DeadLetter] = field(default_factory=dict)
    lost: dict[tuple[str, int, int], Gone] = field(default_factory=dict)
    #: how many of the next inserts write their token and lose their rows, as a server killed in between does
    lose: int = 0
    #: a fault before an insert kills the server too, between its token and its rows
    torn: bool = False

    async def insert(self, table: str, container: memoryview, token: str) -> None:
        """Insert a container; see api.Store."""
        route = next((r for r in self.routes if table in (r.landing, r.repair)), None)
        if route is None:
            raise Configuration(f"table {table} does not exist", 60)
        try:
            self.script(f"insert {table}", "before")
        except BaseException:
            if self.torn:
                self.tokens.add((route.target, token))
            raise
        await asyncio.sleep(0)
        rows = [row for record in _records(container) for row in _rows(route, record)]
        if (route.target, token) not in self.tokens:
            self.tokens.add((route.target, token))
            if self.lose:
                self.lose -= 1
            else:
                self.rows_kept.update(rows)
        self.script(f"insert {table}", "after")

    async def rows(self, route: Route, lease: Lease, lo: int, hi: int) -> dict[int, int]:
        """Return offset -> stored rows; see api.Store."""
        self.script("rows", "before")
        await asyncio.sleep(0)
        found: Counter[int] = Counter()
        for row, count in self.rows_kept.items():
            if row[:3] == (route.target, lease.topic_id, lease.position.partition) and lo <= row[3] <= hi:
                found[row[3]] += count
        return dict(found)

    async def sequence(self, route: Route, lease: Lease, offset: int) -> set[int]:
        """Return the stored `seq` of one record; see api.Store."""
        self.script("sequence", "before")
        await asyncio.sleep(0)
        key = (route.target, lease.topic_id, lease.position.partition, offset)
        return {row[4] for row, count in self.rows_kept.items() if row[:4] == key and count}

    async def record_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters by key; see api.Store."""
        self.script("dead_letters", "before")
        self.dead_letters |= {letter.key: letter for letter in letters}

    async def record_lost(self, gone: Gone) -> None:
        """Keep a lost range by position; see api.Store."""
        self.script("lost", "before")
        self.lost[gone.topic, gone.partition, gone.lo] = gone


def _records(container: memoryview) -> list[dict[str, Any]]:
    """Read the container as strictly as a server does: a block is its record and nothing else."""
    records = []
    try:
        for block in fastavro.block_reader(io.BytesIO(container)):
            records += [dict(record) for record in block if isinstance(record, dict)]
            if block.bytes_.read(1):  # type: ignore[attr-defined]  # missing in fastavro's stub
                raise DataError("bytes follow a record", 33)
    except DataError:
        raise
    except Exception as error:  # whatever a reader says about bytes: the store says "data"
        raise DataError(f"not a container: {error}", 33) from error
    return records


def _rows(route: Route, record: Mapping[str, Any]) -> list[Row]:
    key = (route.target, record["kafka_topic_id"], record["kafka_partition"], record["kafka_offset"])
    if not route.batched:
        return [(*key, 0)]
    count = record["count"]
    if len(record["step"]) != 4 * count or len(record["reward"]) != 8 * count:
        raise DataError("steps.step does not hold count values", 395)
    return [(*key, record["first_seq"] + i) for i in range(count)]
