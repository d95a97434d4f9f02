"""Reads dead letters from ClickHouse, and whether their records are stored meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.asking import asking
from runbus.clickhouse.queries import QueryName, query
from runbus.kafka.model import TopicPartition
from runbus.sink.api import Route
from runbus.sink.dead_letters.eligibility import LetterOrigin
from runbus.sink.records import read

# Records of one partition in one query.
_AT_ONCE = 1000
# Columns that are fields of the same name.
_OF_LETTER = ("key", "component", "run_id", "agent_id", "error", "failed_at", "size")
_OF_DETAIL = ("attempt", "seq", "count", "schema_id", "source_key", "value")


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """One dead letter, without its bytes.

    Attributes:
        key: what `runbus dlq show` and `retry` take.
        origin: its record.
        component: kind of the component that wrote it.
        run_id, agent_id: of the record, if they are known.
        error: why.
        failed_at: when, UTC.
        size: bytes of its value; None = it had none.
        stored: whether all rows of the record are there.
    """

    key: str
    origin: LetterOrigin
    component: str
    run_id: str
    agent_id: str
    error: str
    failed_at: datetime
    size: int | None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class StoredLetterDetail:
    """One dead letter with all its fields; `partition` and `offset` are its own on the topic `dead-letters`."""

    letter: StoredLetter
    attempt: int
    seq: int
    count: int
    schema_id: str
    source_key: bytes
    value: bytes | None
    headers: Mapping[str, bytes]
    partition: int
    offset: int


class StoredLetters:
    """Reads the dead letters of one database.

    Args:
        client: connected.
        routes: the topics that are stored, by full name.
    """

    def __init__(self, client: Client, routes: Mapping[str, Route]) -> None:
        self._client = client
        self._routes = routes

    def newest(self, limit: int, topic: str = "", run_id: str = "") -> list[StoredLetter]:
        """Return the newest letters, of one topic (full name) and one run if named. Raises StoreError."""
        return self._letters(self._ask("dead_letters", {"topic": topic, "run_id": run_id, "limit": limit}))

    def of(self, key: str) -> list[StoredLetterDetail]:
        """Return the letters of one key, of every component, the newest first. Raises StoreError."""
        rows = self._ask("dead_letters_of", {"key": key}, "value", "source_key")
        return [_full(letter, row) for letter, row in zip(self._letters(rows), rows, strict=True)]

    def origins(self, keys: Sequence[str] = (), topics: Sequence[str] = ()) -> list[tuple[str, LetterOrigin]]:
        """Return key and record of letters, each record once: of some keys, and of some topics (full names)."""
        rows = self._ask("dead_letter_origins", {"keys": list(keys), "topics": list(topics)})
        return [(row["key"], _origin(row)) for row in rows]

    def value(self, origin: LetterOrigin) -> tuple[bytes | None, bytes, int | None]:
        """Return value and key of a letter's record, and its size if the value is only its start.

        Raises StoreError.
        """
        where = _partition(origin.position, origin.topic_id) | {"offset": origin.offset}
        (row,) = self._ask("dead_letter_value", where, "value", "source_key")
        return row["value"], row["source_key"], row["whole"]

    def stored(self, origins: Iterable[LetterOrigin]) -> set[LetterOrigin]:
        """Return the records of which all rows are stored. Raises StoreError.

        The number of rows is read from the header without decoding it: a record with a stored row has passed the
        tables' own checks.
        """
        parts: dict[tuple[TopicPartition, str], set[int]] = defaultdict(set)
        for origin in origins:
            if origin.offset >= 0 and origin.topic in self._routes:
                parts[origin.position, origin.topic_id].add(origin.offset)
        found: set[LetterOrigin] = set()
        for (position, topic_id), offsets in parts.items():
            ordered = sorted(offsets)
            for at in range(0, len(ordered), _AT_ONCE):
                complete = self._complete(position, topic_id, ordered[at : at + _AT_ONCE])
                found.update(LetterOrigin(position.topic, topic_id, position.partition, offset) for offset in complete)
        return found

    def _complete(self, position: TopicPartition, topic_id: str, offsets: list[int]) -> Iterator[int]:
        route, where = self._routes[position.topic], _partition(position, topic_id)
        counted = self._ask("rows_of_offsets", where | {"table": route.target, "offsets": offsets})
        rows = {row["kafka_offset"]: row["rows"] for row in counted}
        heads = self._ask("dead_letter_heads", where | {"offsets": list(rows)}, "head") if rows else []
        for row in heads:
            wanted = read(row["offset"], None, row["head"], 0, batched=route.batched).steps
            if rows[row["offset"]] >= wanted:
                yield row["offset"]

    def _letters(self, rows: Sequence[Mapping[str, Any]]) -> list[StoredLetter]:
        stored = self.stored(map(_origin, rows))
        return [
            StoredLetter(origin=_origin(row), stored=_origin(row) in stored, **{name: row[name] for name in _OF_LETTER})
            for row in rows
        ]

    def _ask(self, name: QueryName, parameters: Mapping[str, Any], *raw: str) -> list[dict[str, Any]]:
        """Return the rows of a named query; the columns `raw` as bytes."""
        with asking():
            result = self._client.query(
                query(name), parameters=dict(parameters), column_formats=dict.fromkeys(raw, "bytes")
            )
            return [dict(row) for row in result.named_results()]


def _origin(row: Mapping[str, Any]) -> LetterOrigin:
    return LetterOrigin(row["topic"], row["topic_id"], row["partition"], row["offset"])


def _partition(position: TopicPartition, topic_id: str) -> dict[str, Any]:
    return {"topic": position.topic, "topic_id": topic_id, "partition": position.partition}


def _full(letter: StoredLetter, row: Mapping[str, Any]) -> StoredLetterDetail:
    return StoredLetterDetail(
        letter,
        **{name: row[name] for name in _OF_DETAIL},
        headers={name: bytes.fromhex(content) for name, content in row["headers"].items()},
        partition=row["kafka_partition"],
        offset=row["kafka_offset"],
    )
