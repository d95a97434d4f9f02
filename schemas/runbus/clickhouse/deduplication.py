"""Makes a repeated insert a no-op, and checks that the server does it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.asking import asking
from runbus.clickhouse.errors import Configuration
from runbus.clickhouse.tables import STORED_TOPICS, view_of

#: Blocks that may be inserted between an insert and its replay. A replay follows a crash or a rebalance, within the
#: ranges of one take-over; a thousand is hours of a busy partition. The migrations pin 10000.
MIN_WINDOW = 1_000

_REQUIRED: Mapping[str, str] = {
    # the token must be looked up, in the tables behind the view too
    "async_insert": "0",
    "insert_deduplicate": "1",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    # one thread and fixed block sizes: the same bytes become the same blocks each time, whatever the user's profile
    "max_insert_threads": "1",
    "max_insert_block_size": "1048449",
    "min_insert_block_size_rows": "1048449",
    "min_insert_block_size_bytes": "268402944",
    "min_insert_block_size_rows_for_materialized_views": "0",
    "min_insert_block_size_bytes_for_materialized_views": "0",
    "parallel_view_processing": "0",
    # a record of a schema from before a column was added has that column's default; Codec.resolve decides
    # which schemas those may be: a field of the first version is never missing
    "input_format_avro_allow_missing_fields": "1",
    # An acknowledged insert is on most replicas, and every count sees it (`select_sequential_consistency`), whichever
    # replica is asked. Tables that are not replicated ignore these.
    "insert_quorum": "auto",
    "insert_quorum_parallel": "0",
    # a view that fails must fail the insert
    "materialized_views_ignore_errors": "0",
    # steps are partitioned by their own clock: a batch of an old recording may span many months
    "max_partitions_per_insert_block": "0",
}
#: Only for servers that know them, where they override the settings above.
_IF_KNOWN: Mapping[str, str] = {
    "deduplicate_insert": "enable",
    "ignore_materialized_views_with_dropped_target_table": "0",
    "max_insert_block_size_bytes": "0",
}
_ENGINE = re.compile(r"^(Replicated|Shared)?\w*MergeTree")


def insert_settings(client: Client, token: str) -> dict[str, str]:
    """Return the settings of one insert: with the same token and body it stores its rows once, however often sent."""
    known = {name: value for name, value in _IF_KNOWN.items() if name in client.server_settings}
    return {**_REQUIRED, **known, "insert_deduplication_token": token}


def check_deduplication(client: Client) -> None:
    """Raise Configuration unless every stored topic's table of this database drops a repeated insert.

    Reads back what the server has: engines, deduplication windows, and that each landing table feeds exactly its view.
    """
    with asking():
        rows = client.query(
            "SELECT name, engine, engine_full, dependencies_table FROM system.tables WHERE database = currentDatabase()"
        ).result_rows
    found = {name: (engine, engine_full, set(views)) for name, engine, engine_full, views in rows}
    for topic in STORED_TOPICS:
        _check_table(topic.table, *found.get(topic.table, ("", "", set()))[:2])
        _check_landing(topic.landing, found.get(topic.landing, ("", "", set()))[2])


def _check_table(table: str, engine: str, engine_full: str) -> None:
    match = _ENGINE.match(engine)
    if not engine:
        raise Configuration(f"table {table} does not exist, so nothing can be stored exactly once")
    if match is None:
        raise Configuration(f"table {table} has engine {engine}: exactly once needs a MergeTree")
    window, default = (
        ("replicated_deduplication_window", MIN_WINDOW) if match[1] else ("non_replicated_deduplication_window", 0)
    )
    pinned = re.search(rf"\b(?<!_){window} = (\d+)", engine_full)
    value = int(pinned[1]) if pinned else default
    if value < MIN_WINDOW:
        raise Configuration(
            f"table {table}: {window} is {value}, exactly once needs {MIN_WINDOW} or more "
            f"(ALTER TABLE {table} MODIFY SETTING {window} = 10000)"
        )


def _check_landing(landing: str, views: set[str]) -> None:
    if views != {view_of(landing)}:
        seen = ", ".join(sorted(views)) or "nothing"
        raise Configuration(f"{landing} feeds {seen}; exactly once needs it to feed {view_of(landing)} and only that")
