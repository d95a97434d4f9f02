"""How a process ends: its exit code, and one line for a mistake that a person can mend."""

from __future__ import annotations

import pytest

from runbus.config.command import main
from runbus.config.errors import RunBusError
from runbus.config.sources import Sources


def test_a_process_that_ends_by_itself_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """It is given the settings, and says nothing."""
    given: list[Sources] = []
    assert main(given.append) == 0
    assert len(given) == 1
    assert capsys.readouterr().err == ""


def test_a_mistake_is_one_line_and_1(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person can mend is no traceback."""

    def run(_: Sources) -> None:
        raise RunBusError("no broker: start one")

    assert main(run) == 1
    assert capsys.readouterr().err == "error: no broker: start one\n"


def test_anything_else_is_not_hidden() -> None:
    """A defect keeps its traceback."""

    def run(_: Sources) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main(run)
