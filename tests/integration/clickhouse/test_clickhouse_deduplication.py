"""Exactly once: a repeated insert stores nothing, and the check refuses a server that would store it twice."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.deduplication import MIN_WINDOW, check_deduplication, insert_settings
from runbus.clickhouse.errors import Configuration
from runbus.clickhouse.tables import STORED_TOPICS, StoredTopic
from runbus.config.clickhouse import ClickHouseSettings

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration


def test_repeated_insert_stores_nothing(store: Store, run_id: str, batch: Batch) -> None:
    """The same token and bytes store their rows once, through the materialised view."""
    for _ in range(3):
        store.insert_steps([batch(100), batch(100, 100)], token=f"{run_id}:0-1")
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 200


def test_another_token_stores_again(store: Store, run_id: str, batch: Batch) -> None:
    """It is the token that is compared, not the bytes: another range may hold equal rows."""
    for token in ("a", "b"):
        store.insert_steps([batch(10)], token=f"{run_id}:{token}")
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 20


def test_full_range_is_one_part_and_repeats(store: Store, run_id: str, batch: Batch) -> None:
    """A range of 250 k steps becomes one part, which a repeat finds again."""
    batches = [batch(256, i * 256) for i in range(976)]
    parts = "SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND table = 'steps' GROUP BY name"
    store.insert_steps(batches, token=f"{run_id}:big")
    assert (976 * 256,) in store.rows(parts)
    store.insert_steps(batches, token=f"{run_id}:big")
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 976 * 256


def test_range_over_many_months_repeats(store: Store, run_id: str, batch: Batch) -> None:
    """A range over 150 months is stored, in one part a month, and repeats as nothing."""
    month = 31 * 24 * 3600 * 1_000_000
    batches = [batch(1, i, ts=(i * month).to_bytes(8, "little", signed=True)) for i in range(150)]
    for _ in range(2):
        store.insert_steps(batches, token=f"{run_id}:months")
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 150


def test_repair_feeds_steps_by_its_own_token(store: Store, run_id: str, batch: Batch) -> None:
    """The landing stores what is missing under another token, and repeats as nothing too."""
    store.insert_steps([batch(10)], token=f"{run_id}:x")
    for _ in range(2):
        store.insert_steps([batch(10, 10)], token=f"{run_id}:x#1", first_offset=1)
    assert store.rows(
        "SELECT kafka_offset, count() FROM steps WHERE run_id = {r:String} GROUP BY 1 ORDER BY 1", r=run_id
    ) == [(0, 10), (1, 10)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_insert_block_size_rows", "50000"),
        ("deduplicate_blocks_in_dependent_materialized_views", "0"),
        ("deduplicate_insert", "disable"),
    ],
)
def test_profile_cannot_undo_it(store: Store, run_id: str, batch: Batch, name: str, value: str) -> None:
    """A repeat stores nothing although the user's profile now says otherwise; each of these alone would break it."""
    batches = [batch(256, i * 256) for i in range(250)]
    store.insert_steps(batches, token=f"{run_id}:p")
    store.client.set_client_setting(name, value)
    try:
        store.insert_steps(batches, token=f"{run_id}:p")
    finally:
        store.client.set_client_setting(name, insert_settings(store.client, "")[name])
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 250 * 256


def test_check_accepts_the_migrated_tables(store: Store) -> None:
    """The tables of the migrations pass the check."""
    check_deduplication(store.client)


def test_check_refuses_small_window(store: Store) -> None:
    """A table that forgets tokens soon is refused, with the statement that mends it."""
    change = "ALTER TABLE runs MODIFY SETTING non_replicated_deduplication_window = "
    store.client.command(change + str(MIN_WINDOW - 1))
    try:
        with pytest.raises(Configuration, match="MODIFY SETTING non_replicated_deduplication_window"):
            check_deduplication(store.client)
    finally:
        store.client.command(change + "10000")


@pytest.mark.parametrize("topic", STORED_TOPICS, ids=lambda topic: topic.topic)
def test_check_refuses_a_second_view_on_a_landing(store: Store, topic: StoredTopic) -> None:
    """Something else fed by a landing would count a repaired record twice."""
    store.client.command(f"CREATE MATERIALIZED VIEW extra ENGINE = Memory AS SELECT kafka_offset FROM {topic.landing}")
    try:
        with pytest.raises(Configuration, match=rf"{topic.landing} feeds (.*, )?extra\b"):
            check_deduplication(store.client)
    finally:
        store.client.command("DROP TABLE extra SYNC")


def test_check_refuses_missing_tables(clickhouse_settings: ClickHouseSettings) -> None:
    """An empty database is told apart: it needs the migrations."""
    client = connect(dataclasses.replace(clickhouse_settings, database="default"))
    with pytest.raises(Configuration, match="runbus migrate"):
        check_deduplication(client)
    client.close()
