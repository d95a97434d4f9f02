"""Two releases at the same time, on real engines: whatever is new first, every step is stored once and in order."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.batch import encode
from runbus.schemas.record import read_record, write_record
from runbus.schemas.registry import SchemaRegistry
from tests.integration.sink.release import NOW, Release, framed
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, environment, make_batch
from tests.integration.sink.test_sink_poison import read_all
from tests.integration.sink.versions import SIZE, Recorders, check_order, check_versions
from tests.support.waiting import until

pytestmark = pytest.mark.integration

NEWER = "SELECT count() FROM steps WHERE run_id = {run:String} AND policy_version > 0"
VIEWS = ("episode_returns", "stream_summary", "run_summary", "episode_check", "team_episodes")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Return the next release."""
    return Release(tmp_path / "release")


@pytest.fixture
def own(clickhouse_settings: ClickHouseSettings) -> Iterator[Tables]:
    """Yield a database of this test alone, as this release migrates it: the next one changes its tables."""
    migrate(clickhouse_settings)
    client = connect(clickhouse_settings)
    yield Tables(client)
    client.close()


@pytest.fixture
def own_sinks(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, own: Tables, tmp_path: Path
) -> Iterator[Sinks]:
    """Yield a starter of sinks for that database."""
    starter = Sinks(environment(kafka_settings, clickhouse_settings), tmp_path)
    yield starter
    starter.kill_all()


def test_versions_that_write_by_turns_share_ranges(feed: Feed, own: Tables, own_sinks: Sinks, release: Release) -> None:
    """400 records of one partition, the schema another one at each: as few inserts as two schemas need.

    Before the migration the new sink does not start: ClickHouse would leave the new field out without a word.
    """
    recorders = Recorders(feed, release)
    for number in range(400):
        recorders.write(newer=number % 2 == 1)
    feed.flush()
    own_sinks.env |= release.env
    assert own_sinks.start().wait(90) == 1
    assert "steps_landing has no column policy_version" in own_sinks.log()
    assert "runbus migrate" in own_sinks.log()
    release.run("migrate", env=own_sinks.env)
    process = own_sinks.start()
    own.wait(feed)
    assert own_sinks.stop(process) == 0
    own.check(feed)
    check_order(own, feed)
    check_versions(own, recorders)
    blocks = "SELECT max(max_block_number) FROM system.parts WHERE database = currentDatabase() AND table = 'steps'"
    assert 2 <= int(str(own.one(blocks))) <= 20  # each insert of a month is a block; a range has two, not one a record


@pytest.mark.long
def test_a_column_is_added_while_the_sink_inserts(
    feed: Feed, own: Tables, own_sinks: Sinks, release: Release, registry: str
) -> None:
    """Migrate, recorders, sinks, in this order and under load: nothing lost or doubled, the new field stored at once.

    The old sink stores the field as soon as there is a column: it never looks into a record.
    """
    own_sinks.env["SCHEMA_REGISTRY_URL"] = registry
    recorders = Recorders.registered(feed, release, registry)
    old = own_sinks.start()
    with recorders.busy() as upgraded:
        until("the sink inserts", lambda: own.steps(feed) > 0)
        views = {name: own.one(f"SELECT count() FROM {name} WHERE run_id = '{feed.run}'") for name in VIEWS}
        assert release.migration in release.run("migrate", env=own_sinks.env)
        before = own.steps(feed)
        until("it inserts after the migration", lambda: own.steps(feed) > before + 40 * SIZE)
        upgraded.set()
        until("the old sink stores the new field", lambda: own.one(NEWER, run=feed.run) != 0)
        own_sinks.env |= release.env
        new = own_sinks.start()
        own_sinks.says("sink.assigned")
        assert own_sinks.stop(old) == 0
        before = own.steps(feed)
        until("the new sink inserts", lambda: own.steps(feed) > before + 40 * SIZE)
    own.wait(feed)
    assert own_sinks.stop(new) == 0
    own.check(feed)
    check_order(own, feed)
    check_versions(own, recorders)
    assert read_all(feed, "dead-letters") == []
    assert not [number for number in range(2) if "sink.paused" in own_sinks.log(number)]
    assert views
    for name in VIEWS:  # old rows and new ones, under the views of before
        assert own.one(f"SELECT count() FROM {name} WHERE run_id = {{run:String}}", run=feed.run) is not None


def test_an_old_sink_and_old_tables_store_what_they_know(
    feed: Feed, sinks: Sinks, tables: Tables, release: Release, registry: str
) -> None:
    """A newer schema in the middle of a backlog, its id in the registry: its field is left out, all else is stored.

    Beside them, schemas that somebody else registered: `reward` as integers, and no `tick`. Both are dead letters,
    though ClickHouse would read on.
    """
    sinks.env["SCHEMA_REGISTRY_URL"] = registry
    recorders = Recorders.registered(feed, release, registry)
    for number in range(90):
        recorders.write(newer=30 <= number < 60)
        if number == 40:
            write_wrongly(feed, registry)
    feed.flush()
    process = sinks.start()
    tables.wait(feed)
    until("the letters are written", lambda: len(read_all(feed, "dead-letters")) == 2)
    assert sinks.stop(process) == 0
    tables.check(feed)
    check_order(tables, feed)
    first, second = (str(dict(letter.headers() or [])["error"]) for letter in read_all(feed, "dead-letters"))
    assert "StepBatch.reward is" in first
    assert "StepBatch has no field tick" in second


def write_wrongly(feed: Feed, registry: str) -> None:
    """Write two batches with schemas that are none of any release; no row of them may ever be there."""
    raw = json.loads(NOW.text)
    integers = [f | ({"type": {"type": "bytes", "dtype": "<i8"}} if f["name"] == "reward" else {}) for f in NOW.fields]
    fewer = [f for f in NOW.fields if f["name"] != "tick"]
    for number, fields in enumerate((integers, fewer)):
        writer = AvroSchema.from_json(json.dumps({**raw, "fields": fields}))
        record = read_record(encode(make_batch(feed.run, f"wrong-{number}", 0, SIZE)), NOW, NOW)
        body = write_record(writer, {f["name"]: record[f["name"]] for f in fields})
        schema_id = SchemaRegistry(registry).push(f"{feed.settings.topic_prefix}wrong-{number}", writer)
        feed.send("steps", b"key", framed(writer, body, schema_id), partition=1)


def test_without_a_registry_a_newer_schema_waits_for_an_upgrade(
    feed: Feed, own: Tables, own_sinks: Sinks, release: Release
) -> None:
    """Few newer values are dead letters that say what to do, many stop the partition; after it all of them are rows."""
    recorders = Recorders(feed, release)
    for newer in (False, True, True, False):
        recorders.write(newer)
    feed.flush()
    process = own_sinks.start(dead_letter_run="5")
    until("what it knows is stored", lambda: own.steps(feed) == 2 * SIZE)
    until("the rest is dead letters", lambda: own.one("SELECT count() FROM dead_letters") == 2)
    for newer in (*[True] * 8, False):
        recorders.write(newer)
    feed.flush()
    own_sinks.says("poison: more than 5 values in a row cannot be stored: fingerprint")
    assert own_sinks.stop(process) == 0
    assert "upgrade RunBus here, then `runbus dlq retry`" in own_sinks.log()
    letters = read_all(feed, "dead-letters")
    assert 2 <= len(letters) <= 7  # the first two, and of the eight what was in ranges that broke no limit yet
    assert all(b"upgrade RunBus here" in (dict(m.headers() or [])["error"] or b"") for m in letters)

    release.run("migrate", env=own_sinks.env)
    own_sinks.env |= release.env
    process = own_sinks.start(dead_letter_run="5")
    until("all but the letters is stored", lambda: own.steps(feed) == feed.total - len(letters) * SIZE)
    until("the letters are stored", lambda: own.one("SELECT count() FROM dead_letters_latest") == len(letters))
    assert _retried(release, own_sinks) == ["stored"] * len(letters)
    assert _retried(release, own_sinks) == ["already"] * len(letters)
    assert own_sinks.stop(process) == 0
    own.check(feed)
    check_order(own, feed)
    check_versions(own, recorders)


def _retried(release: Release, sinks: Sinks) -> list[str]:
    """Return what `runbus dlq retry --all` of the next release says of each letter."""
    said = json.loads(release.run("dlq", "retry", "--all", "--json", env=sinks.env))
    return [letter["result"] for letter in said]
