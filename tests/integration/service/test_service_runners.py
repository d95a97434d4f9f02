"""Both runners keep one contract: asyncio's own loop, and Faust's worker. Real signals, real processes, no broker."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until

pytestmark = pytest.mark.integration
RUNNERS = {"asyncio": "runbus.service.runner:run_in_loop", "faust": "runbus.streams.shell:run_in_faust"}
ROOT = Path(__file__).parents[3]


class Run:
    """One process and what it says."""

    def __init__(self, runner: str, what: str, output: Path) -> None:
        self._output = output
        with output.open("wb") as stream:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.service.hosted", RUNNERS[runner], what],
                cwd=ROOT,
                stdout=stream,
                stderr=stream,
            )

    def said(self) -> str:
        """Return what it said so far."""
        return self._output.read_text()

    def ends(self, code: int) -> None:
        """Return once it has ended, with that code."""
        assert self.popen.wait(60) == code, self.said()


@pytest.fixture(params=RUNNERS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    """Return a function that starts a process under one of the runners."""
    runs: list[Run] = []

    def start_(what: str) -> Run:
        runs.append(Run(request.param, what, tmp_path / "output"))
        return runs[-1]

    yield start_
    for run in runs:
        run.popen.kill()
        run.popen.wait()


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT] * 2], ids=["TERM", "INT", "2"])
def test_a_signal_ends_it_in_order(start: Callable[[str], Run], signals: list[signal.Signals]) -> None:
    """The component is asked, not cancelled, whatever comes after the first signal; exit code 0."""
    run = start("works")
    until("it runs", lambda: "running" in run.said())
    for number in signals:
        run.popen.send_signal(number)
    run.ends(0)
    assert run.said().count("closed") == 1
    assert "Traceback" not in run.said()


def test_a_signal_ends_the_wait_before_it_runs(start: Callable[[str], Run]) -> None:
    """SIGTERM while the broker is waited for: exit code 0, and the component never ran."""
    run = start("waits")
    until("it waits", lambda: "probes.listening" in run.said())
    run.popen.send_signal(signal.SIGTERM)
    run.ends(0)
    assert "running" not in run.said()


@pytest.mark.parametrize(
    ("what", "last"), [("fails", "error: mend it"), ("is replaced", "error: topic steps was deleted or re-created")]
)
def test_what_a_person_has_to_mend_is_one_line(start: Callable[[str], Run], what: str, last: str) -> None:
    """Exit code 1 without a traceback, once the component has given back what it had."""
    run = start(what)
    run.ends(1)
    assert run.said().splitlines()[-1] == last
    assert "closed" in run.said()
    assert "Traceback" not in run.said()


def test_a_defect_keeps_its_traceback(start: Callable[[str], Run]) -> None:
    """Exit code 1, and where it happened."""
    run = start("breaks")
    run.ends(1)
    assert "ZeroDivisionError: a defect" in run.said()
    assert "Traceback" in run.said()


def test_work_that_returns_ends_the_process(start: Callable[[str], Run]) -> None:
    """Exit code 0: a process that stayed would do nothing."""
    run = start("returns")
    run.ends(0)
    assert "closed" in run.said()
    assert "Traceback" not in run.said()


def test_work_that_a_library_cancelled_is_a_defect(start: Callable[[str], Run]) -> None:
    """Exit code 1, and what ended: nobody asked for it."""
    run = start("is cancelled")
    run.ends(1)
    assert "ended before its work was done" in run.said()
