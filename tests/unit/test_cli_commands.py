"""The table of commands says which module adds which: the help, the docs and an invocation all find them by it."""

from __future__ import annotations

from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from runbus.cli.commands import MODULES, Commands
from runbus.cli.main import app


@pytest.mark.parametrize("module", dict.fromkeys(MODULES.values()))
def test_a_module_adds_the_commands_that_the_table_says(module: str) -> None:
    """No command of a module is missing in the table, none stands under another module, and the order is the same."""
    added = typer.Typer()
    import_module(f"runbus.cli.{module}").register(added)
    assert list(typer.main.get_group(added).commands) == [name for name, of in MODULES.items() if of == module]


def test_a_command_is_made_once() -> None:
    """What asks twice gets the same; what is no command is a KeyError, as in any mapping."""
    commands = Commands()
    assert commands["query"] is commands["query"]
    assert "qery" not in commands
    assert len(commands) == len(list(commands)) == len(MODULES)


def test_a_name_that_is_no_command_is_wrong_usage_with_a_suggestion() -> None:
    """Exit code 2, and the nearest name."""
    done = CliRunner().invoke(app, ["sinkk"], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert "No such command 'sinkk'. Did you mean 'sink'?" in done.output
