"""Checks that this version's records fit the landing tables of a database."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.asking import asking
from runbus.clickhouse.errors import Configuration
from runbus.clickhouse.tables import END_FIELD, POSITION_FIELDS, STORED_TOPICS
from runbus.schemas.avsc import schema


def check_landings(client: Client) -> None:
    """Raise Configuration unless every landing table of this database has a column for every field.

    ClickHouse ignores a field without a column, so a sink that is newer than the tables would lose it.
    """
    with asking():
        rows = client.query("SELECT table, name FROM system.columns WHERE database = currentDatabase()").result_rows
    columns = {(str(table), str(name)) for table, name in rows}
    for topic in STORED_TOPICS:
        fields = [*(name for name, _ in POSITION_FIELDS), *(f["name"] for f in schema(topic.schema).fields)]
        missing = [name for name in (*fields, END_FIELD[0]) if (topic.landing, name) not in columns]
        if missing:
            raise Configuration(f"{topic.landing} has no column {', '.join(missing)}: the database is older than this")
