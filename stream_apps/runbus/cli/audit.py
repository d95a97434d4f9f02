"""`runbus audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from runbus.audit.report import Audit
from runbus.audit.run import Sides, audit
from runbus.cli.context import settings
from runbus.cli.output import Json, complain, print_json, print_table
from runbus.sink import SinkSettings


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("audit")(command)


def command(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(envvar="RUNBUS_RUN", help="Only this run.")] = None,
    as_json: Json = False,
) -> None:
    """Compare ClickHouse with the log, step by step; exit code 1 if one is missing or stored twice."""
    current = settings(context)
    group = SinkSettings.load(current.sources).group
    result = audit(Sides(current.kafka, current.clickhouse, current.codec, group), run)
    if as_json:
        print_json(result.as_json())
    else:
        print_audit(result)
    if result.unreadable:
        complain(f"{result.unreadable} records of the log could not be read: what they held is not in these sums")
    raise typer.Exit(0 if result.sound else 1)


def print_audit(result: Audit) -> None:
    """Print the table that also ends the demo."""
    columns = ("STREAM", "PRODUCED", "STORED", "DROPPED", "IN FLIGHT", "MISSING", "DUPLICATES")
    rows: list[tuple[object, ...]] = [
        (f"{run}/{agent}/{attempt}", *sums.as_dict().values())
        for (run, agent, attempt), sums in sorted(result.streams.items())
    ]
    print_table(columns, [*rows, ("total", *result.total.as_dict().values())])
