"""What ClickHouse holds of one topic, by offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from runbus.audit.ranges import Found, Range, Verdict
from runbus.audit.spans import Spans
from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.queries import QueryName, query
from runbus.clickhouse.tables import STEPS, StoredTopic
from runbus.config.clickhouse import ClickHouseSettings

LAST_OFFSET = 2**63 - 1
_ASKED = 1000  # offsets of a request: they are in its address, which has room for 64 KiB and more
_CONSISTENT = "select_sequential_consistency"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Rows of a table that are of no partition of the topic: which id and partition they name, and their range."""

    topic_id: str
    partition: int
    range: Range


class TopicTables:
    """The rows, dead letters and lost ranges of one topic.

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

    def found(self, partition: int, first: int, last: int) -> dict[int, Found]:
        """Return the rows of each offset from `first` to `last` that has any."""
        where = {"partition": partition, "first": first, "last": last}
        if self._stored == STEPS:
            return {row[0]: Found(*row[1:]) for row in self._rows("steps_per_offset", **where)}
        return {offset: Found(rows) for offset, rows in self._rows("rows_per_offset", **where)}

    def next_found(self, partition: int, first: int, limit: int) -> dict[int, Found]:
        """Return the first offsets from `first` on that have rows, at most `limit` of them."""
        rows = self._rows("offsets_from", partition=partition, first=first, limit=limit)
        return {offset: Found(count, count) for offset, count in rows}

    def expired(self, partition: int, start: int) -> Range | None:
        """Return the rows below the first offset of the log."""
        ((rows, first, last),) = self._rows("rows_before", partition=partition, first=start)
        return Range(Verdict.EXPIRED, first, last, rows=rows, offsets=0) if rows else None

    def dead(self, partition: int, first: int = 0, last: int = LAST_OFFSET) -> set[int]:
        """Return the offsets from `first` to `last` that the sink made dead letters of."""
        return {offset for (offset,) in self._rows("dead_offsets", partition=partition, first=first, last=last)}

    def without_rows(self, partition: int, offsets: AbstractSet[int]) -> set[int]:
        """Return those of some offsets that have no row."""
        missing, asked = set(offsets), sorted(offsets)
        for at in range(0, len(asked), _ASKED):
            some = asked[at : at + _ASKED]
            missing -= {row[0] for row in self._rows("rows_of_offsets", partition=partition, offsets=some)}
        return missing

    def lost(self) -> dict[int, Spans]:
        """Return partition -> offsets that retention deleted before the sink stored them."""
        found: dict[int, Spans] = {}
        for partition, first, last in self._rows("lost_offsets"):
            found.setdefault(partition, Spans()).add(first, last)
        return found

    def elsewhere(self, partitions: int) -> list[Elsewhere]:
        """Return the rows of other topic ids, and of partitions that the topic with its `partitions` does not have."""
        found = []
        for topic_id, partition, rows, offsets, first, last in self._rows("rows_elsewhere", partitions=partitions):
            verdict = Verdict.FOREIGN if topic_id == self._ids["topic_id"] else Verdict.OTHER_TOPIC
            found.append(Elsewhere(topic_id, partition, Range(verdict, first, last, offsets, rows=rows)))
        return found

    def _rows(self, name: QueryName, **parameters: object) -> Sequence[Sequence[Any]]:
        everything = {"table": self._stored.table, **self._ids, **parameters}
        with asking():
            return self._client.query(query(name), parameters=everything, settings=self._settings).result_rows


def _settings(client: Client) -> dict[str, str]:
    """Rows must be seen on every replica (ignored by a single server); a read-only user may not ask for it."""
    setting = client.server_settings.get(_CONSISTENT)
    return {_CONSISTENT: "1"} if setting is not None and not setting.readonly else {}


@contextmanager
def connected(settings: ClickHouseSettings) -> Iterator[Client]:
    """Yield a client. Raises StoreError."""
    client = connect(settings)
    try:
        yield client
    finally:
        client.close()
