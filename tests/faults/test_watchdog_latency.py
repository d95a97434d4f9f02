"""How long after a fault the watchdog shows it: measured and printed. What is asserted is that it does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.faults.test_watchdog_faults import agent, is_well
from tests.integration.watchdog.installation import Installation, installation
from tests.integration.watchdog.reports import Document, Reports, findings, reports, state_of

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(1200)]
ROUNDS = 3
#: So long everything works between two faults: what the watchdog learnt of a consumer's pauses is of good times again.
BETWEEN_S = 21.0


@contextmanager
def killed(running: Installation, name: str) -> Iterator[None]:
    """Kill a process of the stack."""
    running.kill(name)
    yield


@contextmanager
def lost(running: Installation, _: str) -> Iterator[None]:
    """Kill an agent that records; another one records for it later."""
    with agent(running, "lost") as process:
        os.kill(process.pid, signal.SIGKILL)
        yield
    with agent(running, "lost"):
        pass


def shows(about: str, state: str) -> Callable[[Document], bool]:
    """Return what says whether a report has this state of that subject."""
    return lambda document: state_of(document, about) == state


FAULTS = {
    "SIGSTOP of the sink": (Installation.stopped, "sink", shows("sink-", "STOP")),
    "SIGSTOP of episodes": (Installation.stopped, "episodes", shows("episodes-local", "STOP")),
    "SIGKILL of live-metrics": (killed, "live-metrics", shows("live-metrics-local", "STOP")),
    "SIGSTOP of ClickHouse": (Installation.stopped, "clickhouse", shows("group runbus.sink", "STALL")),
    "SIGKILL of an agent": (lost, "", lambda document: any("lost/" in f["text"] for f in document["findings"])),
}


def test_how_soon_a_fault_is_shown(tmp_path: Path, say: Callable[[str], None]) -> None:
    """Each fault several times, in turn, on a stack with an agent that records."""
    measured: dict[str, list[float]] = {name: [] for name in FAULTS}
    with (
        installation(tmp_path / "home") as running,
        reports(running.kafka) as said,
        agent(running, "measured"),
    ):
        for _ in range(ROUNDS):
            for name, (fault, what, shown) in FAULTS.items():
                said.until("all is well", is_well)
                said.during(BETWEEN_S)
                with fault(running, what):
                    measured[name].append(said.until(f"{name} is shown", shown))
        measured["a partition without an owner"] = [_unowned(running, said)]
        measured["a rewind"] = [_rewound(running, said)]
    say("\nfrom a fault to the report that shows it, seconds:")
    for name, seconds in measured.items():
        say(f"  {name}: median {median(seconds):.1f}, longest {max(seconds):.1f} of {len(seconds)}")
    assert all(measured.values())


def _unowned(running: Installation, said: Reports) -> float:
    said.until("all is well", is_well)
    running.stack.supervisor.halt("sink")
    return said.until("nobody reads", lambda d: ("group runbus.sink", "no owner") in findings(d))


def _rewound(running: Installation, said: Reports) -> float:
    """Return how long after the command; the sink is away, and begins again."""
    running.end("sink")
    assert running.command.run("cursors", "reset", "runbus.sink", "--to", "beginning", "--yes").returncode == 0
    seconds = said.until("it went back", shows("group runbus.sink", "REWIND"))
    running.begin("sink")
    said.until("all is well", is_well)
    return seconds
