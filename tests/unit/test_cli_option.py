"""Options of commands come from the declarations: one sentence for a bad value, and all of them in `config show`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from runbus.cli.main import app
from runbus.config.catalogue import PLACES, SETTINGS
from runbus.config.errors import ConfigError
from runbus.config.options import OPTIONS


@pytest.mark.parametrize(
    ("arguments", "variable", "value", "says"),
    [
        (["topics", "apply", "--partitions"], "RUNBUS_PARTITIONS", "0", "is not an integer, 1 or more"),
        (["run", "ls", "--limit"], "RUNBUS_LIMIT", "many", "is not an integer, 1 or more"),
        (["up", "--kafka-port"], "RUNBUS_KAFKA_PORT", "65536", "is not an integer from 0 to 65535"),
        (["demo", "--seconds"], "RUNBUS_DEMO_SECONDS", "-1", "is not a number, 0 s or more"),
    ],
)
def test_a_bad_value_is_the_same_error_by_flag_and_by_variable(
    arguments: list[str], variable: str, value: str, says: str
) -> None:
    """One ConfigError that names the variable, the value and what is allowed."""
    for given, environ in (([*arguments, value], {}), (arguments[:-1], {variable: value})):
        done = CliRunner().invoke(app, given, env=environ)
        assert isinstance(done.exception, ConfigError)
        assert str(done.exception) == f"{variable}={value!r} {says}"


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Undo what a command sets: a process has one log."""
    loggers = [logging.getLogger(name) for name in ("", "runbus")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


def test_a_switch_and_a_level_are_checked_too() -> None:
    """What is neither on nor off is refused, and so is a level that does not exist."""
    for arguments, environ in (
        (["topics", "apply"], {"RUNBUS_ACLS": "maybe"}),
        (["schema", "check"], {"RUNBUS_LOG_LEVEL": "loud"}),
    ):
        done = CliRunner().invoke(app, arguments, env=environ)
        assert isinstance(done.exception, ConfigError)
        assert next(iter(environ)) in str(done.exception)


def test_config_show_has_every_variable_with_value_unit_and_source() -> None:
    """Settings, options and places are listed; flags, variables and defaults are told from each other."""
    environ = {"RUNBUS_SINK_RANGE_MB": "32", "RUNBUS_DEMO_SECONDS": "5", "CLICKHOUSE_PASSWORD": "hunter2"}
    done = CliRunner().invoke(app, ["--log-level", "error", "config", "show", "--json"], env=environ)
    assert done.exit_code == 0
    rows = {row["env"]: (row["value"], row["unit"], row["origin"]) for row in json.loads(done.output)}
    assert list(rows) == [setting.env for setting in (*SETTINGS, *OPTIONS, *PLACES)]
    assert rows["RUNBUS_SINK_RANGE_MB"] == ("32", "MiB", "RUNBUS_SINK_RANGE_MB")
    assert rows["RUNBUS_DEMO_SECONDS"] == ("5", "s", "RUNBUS_DEMO_SECONDS")
    assert rows["RUNBUS_LOG_LEVEL"] == ("error", "", "flag")
    assert rows["RUNBUS_LIMIT"] == ("20", "", "default")
    assert rows["CLICKHOUSE_PASSWORD"] == ("***", "", "CLICKHOUSE_PASSWORD")
