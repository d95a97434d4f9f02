"""`runbus migrate` and `runbus sink`: what runs beside the broker and ClickHouse."""

from __future__ import annotations

import logging

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table, say
from runbus.clickhouse.migrate import migrate
from runbus.sink import run


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("migrate")(migrate_)
    app.command("sink")(sink)


def migrate_(context: typer.Context, as_json: Json = False) -> None:
    """Create and update the tables in ClickHouse; safe to repeat."""
    target = settings(context).clickhouse
    applied = migrate(target)
    if as_json:
        print_json([{"version": m.version, "name": m.name} for m in applied])
    elif applied:
        print_table(("VERSION", "NAME"), [(str(m.version), m.name) for m in applied])
    else:
        say(f"database {target.database} is up to date")


def sink(context: typer.Context) -> None:
    """Store runs, steps, episodes and heartbeats in ClickHouse, exactly once; runs until it is stopped."""
    level = context.find_root().get_parameter_source("log_level")
    if level is not None and level.name == "DEFAULT":
        logging.getLogger("runbus").setLevel(logging.INFO)  # a process says what it does; a question only what fails
    run(settings(context).sources)
