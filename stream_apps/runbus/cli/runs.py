"""Adds `runbus run ls` and `show`: the runs that are stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from itertools import chain
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.query import QueryResult

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, print_json
from runbus.cli.rows import FORMAT, ShownRows
from runbus.cli.tables import print_rows
from runbus.clickhouse.answers import Question, answer
from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.queries import query as named_query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.config.options import LIMIT, RUN_ALL
from runbus.kafka.topics import CANARY_RUN

group = typer.Typer(help="The runs that are stored.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="run")


def read(
    target: ClickHouseSettings, sql: str, parameters: Mapping[str, Any] | None = None, *, query_limit: int = 0
) -> QueryResult:
    """Run one statement that cannot write, whatever the user may do; `query_limit` rows at most (0 = all)."""
    client = connect(target)
    try:
        client.query_limit = query_limit
        with asking():
            return client.query(sql, parameters=dict(parameters or {}), settings={"readonly": 1})
    finally:
        client.close()


@group.command("ls")
def list_(
    context: typer.Context,
    limit: Annotated[int, option(LIMIT)] = LIMIT.default_value,
    with_canary: Annotated[bool, option(RUN_ALL)] = RUN_ALL.default_value,
    as_json: Json = False,
) -> None:
    """List the newest runs."""
    target = settings(context).clickhouse
    parameters = {"limit": limit, "all": with_canary, "canary": CANARY_RUN}
    if as_json:
        print_json_rows(read(target, named_query("run_list"), parameters))
    else:
        _print(target, named_query("run_list"), parameters)


@group.command("show")
def show_run(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="The run's id, as `runbus run ls` shows it.")],
    as_json: Json = False,
) -> None:
    """Show the agents and attempts of one run."""
    target, parameters = settings(context).clickhouse, {"run_id": run_id}
    if as_json:
        result = read(target, named_query("run_show"), parameters)
        found = bool(result.result_rows)
        if found:
            print_json_rows(result)
    else:
        found = _print(target, named_query("run_show"), parameters, or_nothing=True)
    if not found:
        raise RunBusError(f"no run {run_id!r} is stored: `runbus run ls` lists the runs")


def print_json_rows(result: QueryResult) -> None:
    """Print the rows by column name, as one JSON document."""
    print_json([dict(zip(result.column_names, row, strict=True)) for row in result.result_rows])


def _print(target: ClickHouseSettings, sql: str, parameters: Mapping[str, Any], *, or_nothing: bool = False) -> bool:
    """Print a table and how many rows it has; return whether there is any."""
    with closing(connect(target)) as client, answer(client, Question(sql, FORMAT, parameters)) as found:
        table = ShownRows(found.pieces())
        rows = iter(table)
        first = list(next(rows, ()))
        if first or not or_nothing:
            most = 0 if sys.stdout.isatty() else None
            print_rows(table.columns, chain([first] if first else [], rows), most)
        return bool(first)
