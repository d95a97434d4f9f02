# ruff: noqa: ARG001 - the options are read through context.params, by the table _FLAGS
"""Runs the command line: the options that every command shares, and the exit code of each error.

Exit codes: 0 ok, 1 failed, 2 wrong usage (an option, a variable or a configuration file).
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from runbus.cli.commands import CommandGroup
from runbus.cli.context import Settings
from runbus.cli.option import flag, option
from runbus.cli.output import flush, say
from runbus.config import catalogue as c
from runbus.config.log import start_log
from runbus.config.options import LOG_LEVEL
from runbus.service.entry import exit_code

app = typer.Typer(
    name="runbus",
    cls=CommandGroup,
    help="An event log for agent runs: steps on Kafka, exactly once in ClickHouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # it reads mail headers, and takes as long as most commands

        say(metadata.version("runbus"))
        raise typer.Exit


_FLAGS = {
    "kafka_bootstrap_servers": c.BOOTSTRAP_SERVERS,
    "topic_prefix": c.TOPIC_PREFIX,
    "schema_registry_url": c.REGISTRY_URL,
    "clickhouse_url": c.CLICKHOUSE_URL,
    "clickhouse_user": c.CLICKHOUSE_USER,
    "clickhouse_database": c.CLICKHOUSE_DATABASE,
    "log_level": LOG_LEVEL,
}


@app.callback()
def root(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    kafka_bootstrap_servers: Annotated[str | None, flag(c.BOOTSTRAP_SERVERS)] = None,
    topic_prefix: Annotated[str | None, flag(c.TOPIC_PREFIX)] = None,
    schema_registry_url: Annotated[str | None, flag(c.REGISTRY_URL)] = None,
    clickhouse_url: Annotated[str | None, flag(c.CLICKHOUSE_URL)] = None,
    clickhouse_user: Annotated[str | None, flag(c.CLICKHOUSE_USER)] = None,
    clickhouse_database: Annotated[str | None, flag(c.CLICKHOUSE_DATABASE)] = None,
    log_level: Annotated[str, option(LOG_LEVEL)] = LOG_LEVEL.default_value,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Every option stands before the command; `runbus config show` tells where each value comes from."""
    flags = {
        setting.env: str(context.params[name])
        for name, setting in _FLAGS.items()
        if context.params[name] is not None and _from_command_line(context, name)
    }
    start_log(log_level)
    context.obj = Settings(flags)


def _from_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def run() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is no UTF-8 gets what it can show
    try:
        code: str | int | None = exit_code(lambda: app(standalone_mode=True), "runbus")
    except SystemExit as ended:
        code = ended.code
    flush()
    sys.exit(code)
