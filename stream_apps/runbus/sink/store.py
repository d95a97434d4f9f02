"""Implements the protocol's store on ClickHouse: clickhouse-connect over HTTP, each request in a thread."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TypeVar

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.deduplication import insert_settings
from runbus.clickhouse.errors import acknowledged, no_clickhouse, translated
from runbus.clickhouse.tables import LOST_RANGES
from runbus.kafka.model import TopicIdPartition
from runbus.kafka.threads import in_thread
from runbus.sink.api import DeletedRange, Route
from runbus.sink.container import Container

T = TypeVar("T")
_WHERE = (
    "WHERE kafka_topic_id = {topic_id:String} AND kafka_partition = {partition:Int32} "
    "AND kafka_offset BETWEEN {lo:Int64} AND {hi:Int64}"
)
_LAST_OFFSET = 2**63 - 1
# Counting after a write must see it on every replica (ignored by a single server).
_READ = {"select_sequential_consistency": "1"}


class ClickHouseStore:
    """Inserts into the tables of one database and counts their rows; safe for many tasks of one event loop.

    Args:
        client: connected; used by several threads at once.
        group: the consumer group, for `lost_ranges`.
        parallel: inserts, and queries, at the same time; further partitions wait, because a server refuses too many at
            once.
    """

    def __init__(self, client: Client, group: str, parallel: int = 4) -> None:
        self._client = client
        self._group = group
        self._inserts = asyncio.Semaphore(parallel)
        self._queries = asyncio.Semaphore(parallel)

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert one container as one block; see api.Store."""
        settings = insert_settings(self._client, token)

        def insert() -> None:
            # Pieces, not bytes: after a lost connection the driver sends bytes again by itself, and this hidden second
            # attempt could be acknowledged from the log of tokens without the rows. (The driver takes any iterable.)
            acknowledged(self._client.raw_insert(table, insert_block=container, fmt="Avro", settings=settings))  # type: ignore[arg-type]

        async with self._inserts:
            await self._call(insert)

    async def rows(self, route: Route, partition: TopicIdPartition, lo: int, hi: int) -> dict[int, int]:
        """Return offset -> stored rows; see api.Store."""
        query = f"SELECT kafka_offset, count() FROM {route.target} {_WHERE} GROUP BY kafka_offset"  # noqa: S608
        found = await self._query(query, partition, lo, hi)
        return {int(offset): int(count) for offset, count in found}

    async def newest(self, route: Route, partition: TopicIdPartition, lo: int) -> int:
        """Return the highest stored offset from `lo` on; see api.Store."""
        query = f"SELECT if(count() = 0, -1, max(kafka_offset)) FROM {route.target} {_WHERE}"  # noqa: S608
        return int((await self._query(query, partition, lo, _LAST_OFFSET))[0][0])

    async def sequence(self, route: Route, partition: TopicIdPartition, offset: int) -> set[int]:
        """Return the stored `seq` of one record; see api.Store."""
        query = f"SELECT seq FROM {route.target} {_WHERE}"  # noqa: S608 - the name is a constant of the package
        return {int(row[0]) for row in await self._query(query, partition, offset, offset)}

    async def record_lost(self, deleted: DeletedRange) -> None:
        """Insert into `lost_ranges`: its key is the position, so the same row again merges away."""
        row = {
            "topic": deleted.topic,
            "topic_id": deleted.topic_id,
            "partition": deleted.partition,
            "first_offset": deleted.lo,
            "last_offset": deleted.hi,
            "consumer_group": self._group,
            "reason": deleted.reason,
            "detected_at": time.time_ns() // 1000,
        }
        values, names = [list(row.values())], list(row)
        settings = {"async_insert": "0"}
        await self._call(
            lambda: acknowledged(self._client.insert(LOST_RANGES, values, column_names=names, settings=settings))
        )

    async def _query(self, query: str, partition: TopicIdPartition, lo: int, hi: int) -> list[list[int]]:
        parameters = {"topic_id": partition.topic_id, "partition": partition.partition, "lo": lo, "hi": hi}
        # JSON, because it says how many rows it has: to the driver an empty answer is "no rows", whoever gives it, and
        # rows that seem to be missing are inserted again.
        async with self._queries:
            return await self._call(
                lambda: _numbers(
                    self._client.raw_query(query, parameters=parameters, settings=_READ, fmt="JSONCompact")
                )
            )

    async def _call(self, request: Callable[[], T]) -> T:
        def work() -> T:
            with translated():
                return request()

        return await in_thread(work, "runbus-sink-store")


def _numbers(answer: bytes) -> list[list[int]]:
    """Return the rows of a whole JSONCompact answer. Raises Configuration if it is not one."""
    try:
        found = json.loads(answer)
        rows = [[int(number) for number in row] for row in found["data"]]
        whole = len(rows) == found["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise no_clickhouse(f"it says {answer[:60]!r}") from error
    if not whole:
        raise no_clickhouse(f"{len(rows)} rows of {found['rows']}")
    return rows
