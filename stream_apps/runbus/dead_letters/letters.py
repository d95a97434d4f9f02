"""What ClickHouse knows of the dead letters, and whether the records that they are about are stored meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.errors import translated
from runbus.clickhouse.queries import QueryName, query
from runbus.dead_letters.gate import Origin
from runbus.sink.api import Position, Route
from runbus.sink.ranges import read


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, without its bytes.

    Attributes:
        key: what `runbus dlq show` and `retry` take.
        origin: the record that it is about.
        component: kind of the one who gave it up.
        run_id, agent_id: whose it was, where that is known.
        error: why.
        failed_at: when, UTC.
        size: bytes of its value; None = it had none.
        stored: all rows of the record are there.
    """

    key: str
    origin: Origin
    component: str
    run_id: str
    agent_id: str
    error: str
    failed_at: datetime
    size: int | None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class FullLetter:
    """One dead letter with all that it says; `offset` is its own on the topic `dead-letters`."""

    letter: Letter
    attempt: int
    seq: int
    count: int
    schema_id: str
    source_key: bytes
    value: bytes | None
    headers: Mapping[str, bytes]
    partition: int
    offset: int


class Letters:
    """The dead letters of one database.

    Args:
        client: connected.
        routes: the topics that are stored, by full name.
    """

    def __init__(self, client: Client, routes: Mapping[str, Route]) -> None:
        self._client = client
        self._routes = routes

    def newest(self, limit: int, topic: str = "", run_id: str = "") -> list[Letter]:
        """Return the newest letters; of one topic (full name), of one run. Raises StoreError."""
        rows = self._ask("dead_letters", {"topic": topic, "run_id": run_id, "limit": limit}, "head")
        return self._letters(rows)

    def of(self, key: str) -> list[FullLetter]:
        """Return what every component says under one key, the newest first. Raises StoreError."""
        rows = self._ask("dead_letters_of", {"key": key}, "value", "source_key")
        heads = [row | {"head": row["value"], "size": _size(row["value"])} for row in rows]
        return [_full(letter, row) for letter, row in zip(self._letters(heads), rows, strict=True)]

    def origins(self, keys: Sequence[str] = (), topic: str = "") -> list[tuple[str, Origin]]:
        """Return key and record of letters, each record once: of some keys, or all that have a position."""
        rows = self._ask("dead_letter_origins", {"keys": list(keys), "topic": topic})
        return [(row["key"], _origin(row)) for row in rows]

    def value(self, origin: Origin) -> tuple[bytes | None, bytes]:
        """Return value and key of a record that letters are about. Raises StoreError."""
        parameters = {
            "topic": origin.topic,
            "topic_id": origin.topic_id,
            "partition": origin.partition,
            "offset": origin.offset,
        }
        (row,) = self._ask("dead_letter_value", parameters, "value", "source_key")
        return row["value"], row["source_key"]

    def _letters(self, rows: Sequence[Mapping[str, Any]]) -> list[Letter]:
        stored = self._stored({_origin(row): row["head"] for row in rows})
        return [
            Letter(
                *(row["key"], _origin(row), row["component"], row["run_id"], row["agent_id"]),
                *(row["error"], row["failed_at"], row["size"], _origin(row) in stored),
            )
            for row in rows
        ]

    def _stored(self, heads: Mapping[Origin, bytes | None]) -> set[Origin]:
        """Return the records of which all rows are there.

        How many they are is read from the header without decoding it: a record of which a row was ever stored is one
        that the tables' own checks let through.
        """
        parts: dict[tuple[Position, str], dict[int, bytes | None]] = defaultdict(dict)
        for origin, head in heads.items():
            if origin.offset >= 0 and origin.topic in self._routes:
                parts[origin.position, origin.topic_id][origin.offset] = head
        found = set()
        for (position, topic_id), offsets in parts.items():
            route = self._routes[position.topic]
            for offset, rows in self._counts(route, position, topic_id, offsets).items():
                if rows >= read(offset, None, offsets[offset], 0, batched=route.batched).steps:
                    found.add(Origin(position.topic, topic_id, position.partition, offset))
        return found

    def _counts(self, route: Route, position: Position, topic_id: str, offsets: Iterable[int]) -> dict[int, int]:
        parameters = {
            "table": route.target,
            "topic_id": topic_id,
            "partition": position.partition,
            "offsets": list(offsets),
        }
        return {row["kafka_offset"]: row["rows"] for row in self._ask("rows_of_offsets", parameters)}

    def _ask(self, name: QueryName, parameters: Mapping[str, Any], *raw: str) -> list[dict[str, Any]]:
        """Return the rows of a named query; the columns `raw` as bytes."""
        with translated():
            result = self._client.query(
                query(name), parameters=dict(parameters), column_formats=dict.fromkeys(raw, "bytes")
            )
            return [dict(row) for row in result.named_results()]


def _origin(row: Mapping[str, Any]) -> Origin:
    return Origin(row["topic"], row["topic_id"], row["partition"], row["offset"])


def _size(value: bytes | None) -> int | None:
    return None if value is None else len(value)


def _full(letter: Letter, row: Mapping[str, Any]) -> FullLetter:
    return FullLetter(
        letter,
        attempt=row["attempt"],
        seq=row["seq"],
        count=row["count"],
        schema_id=row["schema_id"],
        source_key=row["source_key"],
        value=row["value"],
        headers={name: bytes.fromhex(content) for name, content in row["headers"].items()},
        partition=row["kafka_partition"],
        offset=row["kafka_offset"],
    )
