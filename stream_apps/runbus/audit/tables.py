"""Counts what ClickHouse holds of one topic, by offset."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from runbus.audit.interval_set import IntervalSet
from runbus.audit.verdicts import StoredRows, Verdict, VerdictRange
from runbus.clickhouse.asking import asking
from runbus.clickhouse.queries import QueryName, query
from runbus.clickhouse.tables import StoredTopic
from runbus.schemas.batches import BATCHES

LAST_OFFSET = 2**63 - 1
_AT_ONCE = 1000  # offsets of a request: they are in its URL, which may have 64 KiB
_CONSISTENT = "select_sequential_consistency"


@dataclass(frozen=True, slots=True)
class StrayRows:
    """Rows of a table that are of no partition of the topic: their topic id and partition, and their range."""

    topic_id: str
    partition: int
    range: VerdictRange


class TopicTables:
    """Reads the rows, dead letters and lost ranges of one topic.

    Args:
        client: connected.
        stored: the topic and its table.
        name: of the topic, with its prefix.
        topic_id: of the topic that has the name now.
    """

    def __init__(self, client: Client, stored: StoredTopic, name: str, topic_id: str) -> None:
        self._client = client
        self._stored = stored
        self._ids = {"topic": name, "topic_id": topic_id}
        self._settings = _settings(client)

    def found(self, partition: int, first: int, last: int) -> dict[int, StoredRows]:
        """Return the rows of each offset from `first` to `last`; absent = none."""
        where = {"partition": partition, "first": first, "last": last}
        if self._stored.schema in BATCHES:
            return {row[0]: StoredRows(*row[1:]) for row in self._rows("seqs_per_offset", **where)}
        return {offset: StoredRows(rows) for offset, rows in self._rows("rows_per_offset", **where)}

    def next_found(self, partition: int, first: int, limit: int) -> dict[int, StoredRows]:
        """Return the first offsets from `first` on that have rows, at most `limit` of them."""
        rows = self._rows("offsets_from", partition=partition, first=first, limit=limit)
        return {offset: StoredRows(count, count) for offset, count in rows}

    def expired(self, partition: int, start: int) -> VerdictRange | None:
        """Return the rows below the first offset of the log."""
        ((rows, first, last),) = self._rows("rows_before", partition=partition, first=start)
        return VerdictRange(Verdict.EXPIRED, first, last, rows=rows, offsets=0) if rows else None

    def dead(self, partition: int, first: int = 0, last: int = LAST_OFFSET) -> set[int]:
        """Return the offsets from `first` to `last` that the sink made dead letters of."""
        return {offset for (offset,) in self._rows("dead_offsets", partition=partition, first=first, last=last)}

    def without_rows(self, partition: int, offsets: AbstractSet[int]) -> set[int]:
        """Return those of some offsets that have no row."""
        missing, asked = set(offsets), sorted(offsets)
        for at in range(0, len(asked), _AT_ONCE):
            some = asked[at : at + _AT_ONCE]
            missing -= {row[0] for row in self._rows("rows_of_offsets", partition=partition, offsets=some)}
        return missing

    def lost(self) -> dict[int, IntervalSet]:
        """Return partition -> offsets that retention deleted before the sink stored them."""
        found: dict[int, IntervalSet] = {}
        for partition, first, last in self._rows("lost_offsets"):
            found.setdefault(partition, IntervalSet()).add(first, last)
        return found

    def elsewhere(self, partitions: int) -> list[StrayRows]:
        """Return the rows of other topic ids, and of partitions from number `partitions` on, which do not exist."""
        found = []
        for topic_id, partition, rows, offsets, first, last in self._rows("rows_elsewhere", partitions=partitions):
            verdict = Verdict.FOREIGN if topic_id == self._ids["topic_id"] else Verdict.OTHER_TOPIC
            found.append(StrayRows(topic_id, partition, VerdictRange(verdict, first, last, offsets, rows=rows)))
        return found

    def _rows(self, name: QueryName, **parameters: object) -> Sequence[Sequence[Any]]:
        everything = {"table": self._stored.table, **self._ids, **parameters}
        with asking():
            return self._client.query(query(name), parameters=everything, settings=self._settings).result_rows


def _settings(client: Client) -> dict[str, str]:
    """Return settings to see rows of every replica; a single server ignores them, a read-only user may not set them."""
    setting = client.server_settings.get(_CONSISTENT)
    return {_CONSISTENT: "1"} if setting is not None and not setting.readonly else {}
