"""Implements the store in memory: landings drop a repeated token part by part, as ClickHouse does."""

from __future__ import annotations

import asyncio
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import fastavro
import numpy as np

from runbus.clickhouse.errors import Configuration, DataError
from runbus.kafka.model import TopicIdPartition
from runbus.sink.api import DeletedRange, Route
from runbus.sink.container import Container
from runbus.sink.memory.log import Script, no_faults

#: (target, topic id, partition, offset, seq)
Row = tuple[str, str, int, int, int]
#: The state of one part of an insert whose server was killed: stored, its token without its rows, or nothing.
PartOutcome = Literal["whole", "token", "nothing"]
_MONTH_US = 30 * 24 * 3600 * 1_000_000


@dataclass(slots=True)
class MemoryStore:
    """Holds tables whose landings drop a repeated token.

    Attributes:
        routes: the landings and their targets.
        script: called before and after each operation; an exception is a fault at that point.
        rows_kept: how often each row is stored.
        tokens: (target, token, part) that were seen; an insert is one part for each month of its rows.
        lost: by position.
        lose: how many of the next inserts write their tokens and lose their rows, as if a server was killed in between.
        torn: a fault before an insert kills the server too, between its tokens and its rows.
    """

    routes: Sequence[Route]
    script: Script = no_faults
    rows_kept: Counter[Row] = field(default_factory=Counter)
    tokens: set[tuple[str, str, int]] = field(default_factory=set)
    lost: dict[tuple[str, int, int], DeletedRange] = field(default_factory=dict)
    lose: int = 0
    torn: bool = False

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert a container; see api.Store."""
        try:
            self.script(f"insert {table}", "before")
        except BaseException:
            if self.torn:
                self.apply(table, container, token, lambda _: "token")
            raise
        await asyncio.sleep(0)
        losing, self.lose = self.lose > 0, max(0, self.lose - 1)
        self.apply(table, container, token, lambda _: "token" if losing else "whole")
        self.script(f"insert {table}", "after")

    def apply(self, table: str, container: Container, token: str, outcome_of: Callable[[int], PartOutcome]) -> None:
        """Store a container, part by part. Raises Configuration, DataError; then nothing of it is stored.

        Args:
            table: a landing.
            container: of records.
            token: names the insert.
            outcome_of: month -> outcome of that part.
        """
        route = next((r for r in self.routes if table == r.landing), None)
        if route is None:
            raise Configuration(f"table {table} does not exist", 60)
        parts: dict[int, list[Row]] = defaultdict(list)
        for record in _records(container):
            for month, row in _rows(route, record):
                parts[month].append(row)
        for month, rows in sorted(parts.items()):
            part, outcome = (route.target, token, month), outcome_of(month)
            if part in self.tokens or outcome == "nothing":
                continue
            self.tokens.add(part)
            if outcome == "whole":
                self.rows_kept.update(rows)

    async def rows(self, route: Route, partition: TopicIdPartition, lo: int, hi: int) -> dict[int, int]:
        """Return offset -> stored rows; see api.Store."""
        self.script("rows", "before")
        await asyncio.sleep(0)
        found: Counter[int] = Counter()
        for row, count in self._of(route, partition):
            if lo <= row[3] <= hi:
                found[row[3]] += count
        return dict(found)

    async def newest(self, route: Route, partition: TopicIdPartition, lo: int) -> int:
        """Return the highest stored offset from `lo` on; see api.Store."""
        self.script("newest", "before")
        await asyncio.sleep(0)
        return max((row[3] for row, _ in self._of(route, partition) if row[3] >= lo), default=-1)

    async def sequence(self, route: Route, partition: TopicIdPartition, offset: int) -> set[int]:
        """Return the stored `seq` of one record; see api.Store."""
        self.script("sequence", "before")
        await asyncio.sleep(0)
        return {row[4] for row, _ in self._of(route, partition) if row[3] == offset}

    async def record_lost(self, deleted: DeletedRange) -> None:
        """Keep a deleted range by position; see api.Store."""
        self.script("lost", "before")
        self.lost[deleted.topic, deleted.partition, deleted.lo] = deleted

    def _of(self, route: Route, partition: TopicIdPartition) -> list[tuple[Row, int]]:
        key = (route.target, partition.topic_id, partition.partition)
        return [(row, count) for row, count in self.rows_kept.items() if row[:3] == key and count]


def _records(container: Container) -> list[dict[str, Any]]:
    """Read the container as strictly as a server does: a block is its record and nothing else."""
    records = []
    try:
        for block in fastavro.block_reader(io.BytesIO(bytes(container))):
            records += [dict(record) for record in block if isinstance(record, dict)]
            if block.bytes_.read(1):  # type: ignore[attr-defined]  # missing in fastavro's stub
                raise DataError("bytes follow a record", 33)
    except DataError:
        raise
    except Exception as error:  # any error of the reader is an error of the data
        raise DataError(f"not a container: {error}", 33) from error
    return records


def _rows(route: Route, record: Mapping[str, Any]) -> list[tuple[int, Row]]:
    """Return the rows of a record, each with its month."""
    key = (route.target, record["kafka_topic_id"], record["kafka_partition"], record["kafka_offset"])
    if not route.batched:
        return [(0, (*key, 0))]
    count = record["count"]
    numbers = "reward" if "reward" in record else "value"  # of steps, of metrics
    if any(len(record[name]) != 8 * count for name in (numbers, "ts")):
        raise DataError(f"{route.target}.{numbers} does not hold count values", 395)
    months = np.frombuffer(record["ts"], "<i8") // _MONTH_US
    return [(int(months[i]), (*key, record["first_seq"] + i)) for i in range(count)]
