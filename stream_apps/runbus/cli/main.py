# ruff: noqa: ARG001 - the options are read through context.params, by the table _FLAGS
"""The root of the command: options that every command shares, and how errors become exit codes.

Exit codes: 0 ok, 1 failed, 2 wrong usage (an option, a variable or a configuration file).
"""

from __future__ import annotations

import io
import logging
import sys
from importlib import metadata
from typing import Annotated

import typer

from runbus.cli import audit, config, data, dlq, query, schema, services, stack, topics
from runbus.cli.context import Settings
from runbus.cli.output import complain, flush, say
from runbus.config import catalogue as c
from runbus.config.errors import ConfigError, RunBusError
from runbus.config.log import start_log

app = typer.Typer(
    name="runbus",
    help="An event log for agent runs: steps on Kafka, exactly once in ClickHouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _option(setting: c.Setting, name: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, envvar=setting.env, help=setting.doc, show_default=False)
    return option


def _print_version(wanted: bool) -> None:
    if wanted:
        say(metadata.version("runbus"))
        raise typer.Exit


_FLAGS = {
    "kafka_bootstrap_servers": c.BOOTSTRAP_SERVERS,
    "topic_prefix": c.TOPIC_PREFIX,
    "schema_registry_url": c.REGISTRY_URL,
    "clickhouse_url": c.CLICKHOUSE_URL,
    "clickhouse_user": c.CLICKHOUSE_USER,
    "clickhouse_database": c.CLICKHOUSE_DATABASE,
}


@app.callback()
def root(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    kafka_bootstrap_servers: Annotated[str | None, _option(c.BOOTSTRAP_SERVERS, "--kafka-bootstrap-servers")] = None,
    topic_prefix: Annotated[str | None, _option(c.TOPIC_PREFIX, "--topic-prefix")] = None,
    schema_registry_url: Annotated[str | None, _option(c.REGISTRY_URL, "--schema-registry-url")] = None,
    clickhouse_url: Annotated[str | None, _option(c.CLICKHOUSE_URL, "--clickhouse-url")] = None,
    clickhouse_user: Annotated[str | None, _option(c.CLICKHOUSE_USER, "--clickhouse-user")] = None,
    clickhouse_database: Annotated[str | None, _option(c.CLICKHOUSE_DATABASE, "--clickhouse-database")] = None,
    log_level: Annotated[
        str, typer.Option(envvar="RUNBUS_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "warning",
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
    start_log("%(asctime)s %(levelname)s %(name)s %(message)s", _level(log_level))
    context.obj = Settings(flags)


def _from_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _level(name: str) -> int:
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if name.lower() not in levels:
        raise ConfigError(f"RUNBUS_LOG_LEVEL={name!r} is not one of {', '.join(levels)}")
    return levels[name.lower()]


stack.register(app)
topics.register(app)
services.register(app)
data.register(app)
query.register(app)
audit.register(app)
dlq.register(app)
schema.register(app)
config.register(app)


def run() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is no UTF-8 gets what it can show
    code = _run()
    flush()
    sys.exit(code)


def _run() -> str | int | None:
    try:
        app(standalone_mode=True)
    except SystemExit as ended:
        return ended.code
    except ConfigError as error:
        complain(str(error))
        return 2
    except RunBusError as error:
        complain(str(error))
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "runbus":
            raise
        complain(f"this command needs the package {error.name}: pip install 'runbus[all]'")
        return 1
    return 0
