"""The SQL files: numbered, repeatable, and in agreement with the Avro schemas."""

import re
from importlib import resources
from pathlib import Path

import pytest

from runbus.clickhouse import queries
from runbus.clickhouse.tables import END_FIELD, POSITION_FIELDS, STORED_TOPICS, StoredTopic, view_of
from runbus.kafka.topics import TOPICS
from runbus.schemas.avsc import INTERNAL, schema

FOLDER = Path(str(resources.files("runbus.clickhouse"))) / "migrations"
FILES = sorted(FOLDER.glob("*.sql"))
SQL = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
CODE = re.sub(r"--[^\n]*", "", SQL)
COLUMN = re.compile(r"^    `?(\w+)`? ", re.MULTILINE)


def definition(table: str) -> str:
    """Return the column list of a table's CREATE statement."""
    match = re.search(rf"CREATE TABLE IF NOT EXISTS {table}\n\((.*?)\n\)\nENGINE", CODE, re.DOTALL)
    assert match, table
    return match[1]


def test_files_are_numbered_without_gaps() -> None:
    """0001, 0002, ...: the order of the files is the order of their numbers."""
    assert [int(path.name[:4]) for path in FILES] == list(range(1, len(FILES) + 1))


def test_statements_can_run_twice() -> None:
    """A file that failed half way is run again, and two runners may meet: every statement allows it."""
    statements = [s.strip() for s in CODE.split(";\n") if s.strip()]
    assert statements
    created = r"CREATE (TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS "
    changed = r"ALTER TABLE \w+ (ADD COLUMN IF NOT EXISTS|MODIFY QUERY) "
    assert all(re.match(f"{created}|{changed}", s) for s in statements)


def test_no_database_is_named() -> None:
    """The database is CLICKHOUSE_DATABASE, so no statement names one."""
    assert not re.search(r"\b(FROM|TO|EXISTS) \w+\.\w+", CODE)


def test_no_gorilla() -> None:
    """ZSTD beats Gorilla on these columns."""
    assert "gorilla" not in CODE.lower()


@pytest.mark.parametrize("topic", STORED_TOPICS, ids=lambda t: t.topic)
def test_landing_has_the_fields_of_the_record(topic: StoredTopic) -> None:
    """A landing table has the position, every field of the Avro schema under its own name, in order, and the end."""
    fields = [name for name, _ in POSITION_FIELDS] + [f["name"] for f in schema(topic.schema).fields] + [END_FIELD[0]]
    assert COLUMN.findall(definition(topic.landing)) == fields


@pytest.mark.parametrize("topic", STORED_TOPICS, ids=lambda t: t.topic)
def test_stored_topic_is_in_the_catalogue(topic: StoredTopic) -> None:
    """What ClickHouse stores of Kafka is a topic with that schema, or one of any bytes that the sink wraps."""
    on_the_wire = None if topic.schema in INTERNAL else topic.schema
    assert (topic.topic, on_the_wire) in [(t.name, t.schema) for t in TOPICS]


@pytest.mark.parametrize("topic", STORED_TOPICS, ids=lambda t: t.topic)
def test_tables_pin_the_deduplication_windows(topic: StoredTopic) -> None:
    """Every stored table says how many blocks it remembers, replicated or not."""
    match = re.search(rf"CREATE TABLE IF NOT EXISTS {topic.table}\n.*?;", CODE, re.DOTALL)
    assert match
    assert "non_replicated_deduplication_window = 10000" in match[0]
    assert " replicated_deduplication_window = 10000" in match[0]
    assert "replicated_deduplication_window_seconds = 604800" in match[0]


def test_a_landing_feeds_one_view_and_nothing_else() -> None:
    """A repair goes through the landing again, so whatever else hung on it would see its rows twice."""
    feeds = re.findall(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS(.*?);\n", CODE, re.DOTALL)
    found = [
        (name, target, landing) for name, target, sql in feeds for landing in re.findall(r"FROM (\w+_landing)\b", sql)
    ]
    assert found == [(view_of(t.landing), t.table, t.landing) for t in STORED_TOPICS]


def test_named_queries_are_the_files() -> None:
    """Every .sql file has a name in the type, and every name its file, which starts by saying what it answers."""
    folder = Path(str(resources.files("runbus.clickhouse"))) / "queries"
    assert sorted(queries.NAMES) == sorted(path.stem for path in folder.glob("*.sql"))
    assert all(queries.query(name).startswith("-- ") for name in queries.NAMES)
