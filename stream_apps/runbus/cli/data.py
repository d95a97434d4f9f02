"""`runbus run ls|show` and `runbus query`: what ClickHouse knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.query import QueryResult

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, print_json, print_table, say
from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import translated
from runbus.clickhouse.queries import query as named_query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.config.options import LIMIT

group = typer.Typer(help="The runs that are stored.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="run")
    app.command("query")(query)


def read(
    target: ClickHouseSettings, sql: str, parameters: Mapping[str, Any] | None = None, *, query_limit: int = 0
) -> QueryResult:
    """Run one statement that cannot write, whoever the user is; `query_limit` rows at most (0 = all)."""
    client = connect(target)
    try:
        client.query_limit = query_limit
        with translated():
            return client.query(sql, parameters=dict(parameters or {}), settings={"readonly": 1})
    finally:
        client.close()


@group.command("ls")
def list_(
    context: typer.Context,
    limit: Annotated[int, option(LIMIT)] = LIMIT.default_value,
    as_json: Json = False,
) -> None:
    """List the newest runs."""
    result = read(settings(context).clickhouse, named_query("run_list"), {"limit": limit})
    show(result, as_json=as_json)


@group.command("show")
def show_run(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="The run's id, as `runbus run ls` shows it.")],
    as_json: Json = False,
) -> None:
    """Show the agents and attempts of one run."""
    result = read(settings(context).clickhouse, named_query("run_show"), {"run_id": run_id})
    if not result.result_rows:
        raise RunBusError(f"no run {run_id!r} is stored: `runbus run ls` lists the runs")
    show(result, as_json=as_json)


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One statement, for example 'SELECT count() FROM steps'.")],
    as_json: Json = False,
) -> None:
    """Run read-only SQL on the tables (docs/sql.md has examples)."""
    show(read(settings(context).clickhouse, sql), as_json=as_json)


def show(result: QueryResult, *, as_json: bool) -> None:
    """Print a result: JSON rows by column name, or a table and how many rows it has."""
    if as_json:
        print_json([dict(zip(result.column_names, row, strict=True)) for row in result.result_rows])
        return
    print_table(result.column_names, result.result_rows)
    say(f"{len(result.result_rows):,} rows")
