"""`runbus migrate`, `sink`, `episodes` and `live-metrics`: what runs beside the broker and ClickHouse."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table, say
from runbus.clickhouse.migrate import migrate
from runbus.clickhouse.users import apply_users, parse_teams, user_passwords
from runbus.sink import run as run_sink


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("migrate")(migrate_)
    app.command("sink")(sink)
    app.command("episodes")(episodes)
    app.command("live-metrics")(live_metrics)


def migrate_(
    context: typer.Context,
    users: Annotated[
        bool,
        typer.Option("--users", envvar="RUNBUS_USERS", help="Then create roles, limits and users (docs/security.md)."),
    ] = False,
    teams: Annotated[
        str,
        typer.Option(
            envvar="RUNBUS_TEAMS",
            help="With --users: who sees only its own runs, `team=prefix of run ids` with `;` in between.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Create and update the tables in ClickHouse; safe to repeat. With --users also who may do what there."""
    current = settings(context)
    target = current.clickhouse
    wanted = (user_passwords(current.sources), parse_teams(teams))  # what is wrong with them is said first
    applied = migrate(target)
    made = apply_users(target, *wanted) if users else []
    if as_json:
        print_json([{"version": m.version, "name": m.name} for m in applied] + [{"access": name} for name in made])
        return
    if applied:
        print_table(("VERSION", "NAME"), [(str(m.version), m.name) for m in applied])
    else:
        say(f"database {target.database} is up to date")
    for name in made:
        say(name)


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
    logging.getLogger().setLevel(logging.WARNING)  # and so do the libraries
