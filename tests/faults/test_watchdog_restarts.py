"""What is no fault is no alarm: everything is restarted in turn, and groups that rebalance all the time.

A process that gets no processor for seconds is silent, and that is said: so nothing else may run beside these tests.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.test_watchdog_faults import agent, is_well
from tests.integration.watchdog.conftest import running, said
from tests.integration.watchdog.installation import Installation
from tests.integration.watchdog.reports import Reports, alarms, findings
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(600)]
__all__ = ["running", "said"]
#: The engines too, and the watchdog itself.
EVERYTHING = ("sink", "episodes", "live-metrics", "clickhouse", "kafka", "watchdog")
STORM_S = 25.0


@contextmanager
def beside(work: threading.Thread) -> Iterator[None]:
    """Let a thread work as long as the context is entered, and wait for its end."""
    work.start()
    try:
        yield
    finally:
        work.join(120)
        assert not work.is_alive()


def test_a_rolling_restart_of_everything(running: Installation, said: Reports) -> None:
    """In order, one after the other, while an agent records: findings come and go, and none is an alarm."""
    with agent(running, "rolling"):
        for name in EVERYTHING:
            running.restart(name)
            said.until(f"all is well after {name}", lambda document: document["state"] == "OK")
    said.until("all is well", is_well)
    assert not alarms(said.seen)
    rewound = [key for document in said.seen for key in findings(document) if key[1] == "rewind"]
    assert not rewound


def test_a_storm_of_rebalances(running: Installation, said: Reports) -> None:
    """Members of each group join and leave every second: nobody is blamed for it."""
    ended, joined = threading.Event(), list[str]()

    def storm() -> None:
        while not ended.is_set():
            for module in ("runbus.sink", "runbus.episodes", "runbus.live_metrics"):
                _join_and_leave(running, module)
                joined.append(module)

    with agent(running, "storm"), beside(threading.Thread(target=storm)):
        said.during(STORM_S)
        until("each group was joined", lambda: len(joined) >= 3)
        ended.set()
    said.until("all is well", is_well)
    assert not alarms(said.seen)


def _join_and_leave(running: Installation, module: str) -> None:
    """Run one more member of a group until it has joined, and end it in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        env=running.command.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if ".started" in line or ".assigned" in line or ".opened" in line:
                break
    finally:
        process.terminate()
        process.communicate(timeout=60)
