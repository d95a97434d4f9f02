"""How a process ends: its exit code, and one line for a mistake that a person can mend."""

from __future__ import annotations

import pytest

from runbus.config.errors import ConfigError, RunBusError
from runbus.service.entry import exit_code


def test_a_process_that_ends_by_itself_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """It says nothing."""
    called: list[bool] = []
    assert exit_code(lambda: called.append(True)) == 0
    assert called == [True]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("error", "code"), [(RunBusError, 1), (ConfigError, 2)])
def test_a_mistake_is_one_line_and_its_code(
    error: type[RunBusError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person can mend is no traceback; a setting is told apart from the rest."""

    def run() -> None:
        raise error("no broker: start one")

    assert exit_code(run) == code
    assert capsys.readouterr().err == "error: no broker: start one\n"


def test_the_line_begins_with_the_name_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line puts its own name there."""

    def run() -> None:
        raise RunBusError("no broker: start one")

    assert exit_code(run, "runbus") == 1
    assert capsys.readouterr().err == "runbus: no broker: start one\n"


def test_a_missing_package_is_told_with_the_extra(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what to install."""

    def run() -> None:
        raise ModuleNotFoundError("No module named 'faust'", name="faust")

    assert exit_code(run) == 1
    assert capsys.readouterr().err == "error: this command needs the package faust: pip install 'runbus[all]'\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), ModuleNotFoundError("gone", name="runbus.sink")])
def test_anything_else_is_not_hidden(error: Exception) -> None:
    """A defect keeps its traceback."""

    def run() -> None:
        raise error

    with pytest.raises(type(error)):
        exit_code(run)
