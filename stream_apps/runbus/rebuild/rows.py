"""Compares the rows of two databases by partition and offset, and takes over those that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.asking import asking
from runbus.kafka.model import TopicIdPartition
from runbus.sink.ranges import consecutive

# Offsets that are compared at a time: some MB of ClickHouse's memory.
_PIECE = 32_768
# Ranges that one statement names: some 60 KB of SQL, of 256 KiB that a server parses.
_RANGES = 1_000
# What is compared and copied: everything that is stored.
_COLUMNS = (
    "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String} "
    "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position"
)


#: The offsets first..last (both included) of a partition whose rows are not the same in two tables: how many rows each
#: has. Rows are compared by a hash of all bytes of all columns, so NaN and -0 count as they are. `{columns}` are those
#: of the new table: no parameter of ClickHouse is a list of names.
_DIFFERING = """\
SELECT
    kafka_offset,
    toInt64(sum(rows * (side = 0))) AS old_rows,
    toInt64(sum(rows * (side = 1))) AS new_rows
FROM
(
    SELECT 0 AS side, kafka_offset, count() AS rows, sum(sipHash64(formatRowNoNewline('RowBinary', {columns}))) AS hash
    FROM {old:Identifier}.{table:Identifier}
    WHERE kafka_topic_id = {topic_id:String}
        AND kafka_partition = {partition:Int32}
        AND kafka_offset BETWEEN {first:Int64} AND {last:Int64}
    GROUP BY kafka_offset
    UNION ALL
    SELECT 1 AS side, kafka_offset, count() AS rows, sum(sipHash64(formatRowNoNewline('RowBinary', {columns}))) AS hash
    FROM {new:Identifier}.{table:Identifier}
    WHERE kafka_topic_id = {topic_id:String}
        AND kafka_partition = {partition:Int32}
        AND kafka_offset BETWEEN {first:Int64} AND {last:Int64}
    GROUP BY kafka_offset
)
GROUP BY kafka_offset
HAVING old_rows != new_rows OR uniqExact(hash) > 1
ORDER BY kafka_offset
"""


class DifferentOffset(NamedTuple):
    """An offset whose rows differ; `old` and `new` say how many each side has, which may be the same number."""

    offset: int
    old: int
    new: int


class TwoTables:
    """One table in two databases.

    Args:
        client: connected.
        table: its name.
        old, new: the databases.
    """

    def __init__(self, client: Client, table: str, old: str, new: str) -> None:
        self._client = client
        self._names = {"table": table, "old": old, "new": new}
        columns = self._columns(new)
        self._list = ", ".join(f"`{name}`" for name in columns)
        self._differing = _DIFFERING.replace("{columns}", self._list)

    def _columns(self, database: str) -> list[str]:
        where = {"database": database, "table": self._names["table"]}
        return [name for (name,) in self._rows(_COLUMNS, where)]

    def differing(self, source: TopicIdPartition, first: int, cut: int) -> Iterator[DifferentOffset]:
        """Yield the offsets [first, cut) of a partition whose rows differ. Raises StoreError."""
        for start in range(first, cut, _PIECE):
            where = {
                **self._names,
                "topic_id": source.topic_id,
                "partition": source.partition,
                "first": start,
                "last": min(start + _PIECE, cut) - 1,
            }
            yield from (DifferentOffset(*row) for row in self._rows(self._differing, where))

    def replace(self, source: TopicIdPartition, offsets: Iterable[int]) -> None:
        """Delete the old rows of some offsets, and store the new ones. Raises StoreError.

        Between the two the rows are not there, a second or so; if it dies there, the next rebuild finds them missing.
        """
        ranges = consecutive(sorted(offsets))
        old, new, table = self._names["old"], self._names["new"], self._names["table"]
        for start in range(0, len(ranges), _RANGES):
            where = _where(source, ranges[start : start + _RANGES])
            with asking():
                self._client.command(
                    f"ALTER TABLE `{old}`.`{table}` DELETE WHERE {where}", settings={"mutations_sync": "2"}
                )
                # without deduplication: the same rows may have been stored, and deleted, before
                self._client.command(
                    f"INSERT INTO `{old}`.`{table}` ({self._list}) "  # noqa: S608 - names of the package, and numbers
                    f"SELECT {self._list} FROM `{new}`.`{table}` WHERE {where}",
                    settings={"async_insert": "0", "insert_deduplicate": "0", "max_partitions_per_insert_block": "0"},
                )

    def _rows(self, sql: str, where: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with asking():
            return self._client.query(sql, parameters=dict(where)).result_rows


def _where(source: TopicIdPartition, ranges: Sequence[tuple[int, int]]) -> str:
    either = " OR ".join(f"kafka_offset BETWEEN {first} AND {last}" for first, last in ranges)
    topic_id = source.topic_id.replace("\\", "\\\\").replace("'", "\\'")
    return f"kafka_topic_id = '{topic_id}' AND kafka_partition = {source.partition} AND ({either})"
