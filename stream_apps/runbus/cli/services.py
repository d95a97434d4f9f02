"""Adds `runbus migrate`, a command for each process of the catalogue, and `runbus stream-app` for those of users."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, print_json, print_table, say
from runbus.config.options import TEAMS, USERS
from runbus.config.sources import Sources
from runbus.service.catalogue import PROCESSES, ProcessEntry
from runbus.service.entry import PROCESS_LOG_LEVEL, run_process, start

if TYPE_CHECKING:  # as in the catalogue
    from runbus.service.component import ProcessSpec


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("migrate")(migrate_)
    for entry in PROCESSES:
        _add(app, entry)
    app.command("stream-app")(stream_app)


def migrate_(
    context: typer.Context,
    users: Annotated[bool, option(USERS)] = USERS.default_value,
    teams: Annotated[str, option(TEAMS)] = TEAMS.default_value,
    as_json: Json = False,
) -> None:
    """Create and update the tables in ClickHouse; safe to repeat. With --users also who may do what there."""
    # not above: the processes do not wait for what only this needs
    from runbus.clickhouse.migrate import migrate
    from runbus.clickhouse.users import apply_users, parse_teams, user_passwords

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


def stream_app(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="MODULE:APP", help="The module, and the name of the app in it.")],
) -> None:
    """Run a stream app of your own (docs/streams.md); runs until it is stopped."""

    def load() -> Callable[[Sources], ProcessSpec]:
        from runbus.streams.user_app import user_process  # the library of the stream apps comes with it

        return user_process(place)

    run_process(load, settings(context).sources, _log_level(context))


def _add(app: typer.Typer, entry: ProcessEntry) -> None:
    def run(context: typer.Context) -> None:
        start(entry.kind, settings(context).sources, _log_level(context))

    app.command(entry.kind, help=entry.does)(run)


def _log_level(context: typer.Context) -> str:
    """Return the level of a process: from info on, unless one is chosen; other commands log only what fails."""
    root = context.find_root()
    level = root.get_parameter_source("log_level")
    chosen = level is not None and level.name != "DEFAULT"
    return str(root.params["log_level"]) if chosen else PROCESS_LOG_LEVEL
