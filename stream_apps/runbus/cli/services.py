"""`runbus migrate`, `sink`, `episodes` and `live-metrics`: what runs beside the broker and ClickHouse."""

from __future__ import annotations

import logging

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table, say
from runbus.clickhouse.migrate import migrate
from runbus.sink import run as run_sink


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("migrate")(migrate_)
    app.command("sink")(sink)
    app.command("episodes")(episodes)
    app.command("live-metrics")(live_metrics)


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
    """Store steps, events, heartbeats and dead letters in ClickHouse, exactly once; runs until it is stopped."""
    _say_what_it_does(context)
    run_sink(settings(context).sources)


def episodes(context: typer.Context) -> None:
    """Finalise each episode of the log, once per revision; runs until it is stopped."""
    from runbus.episodes.process import run

    _say_what_it_does(context)
    run(settings(context).sources)


def live_metrics(context: typer.Context) -> None:
    """Compute what each stream does now, for pages and alarms; runs until it is stopped."""
    from runbus.live_metrics.process import run

    _say_what_it_does(context)
    run(settings(context).sources)


def _say_what_it_does(context: typer.Context) -> None:
    """Log from info on, unless the level was chosen: a process says what it does, a question only what fails."""
    level = context.find_root().get_parameter_source("log_level")
    if level is not None and level.name == "DEFAULT":
        logging.getLogger("runbus").setLevel(logging.INFO)
