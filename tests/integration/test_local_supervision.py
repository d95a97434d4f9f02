"""A supervisor and its starter: who outlives whom, and what ends a supervisor that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.config.errors import RunBusError
from runbus.local.process import ProgramSpec
from runbus.local.supervision import Supervisor
from tests.e2e.command import processes_of, wait_for

pytestmark = pytest.mark.integration

# Starts a supervisor with one process; says so; keeps it if told to; waits for ever.
STARTER = """
import sys, time
from pathlib import Path
from runbus.local.process import ProgramSpec
from runbus.local.supervision import Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
sleeper = ProgramSpec("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), lambda: True)
supervisor.start([(sleeper, 1)], tied=False)
supervisor.launch("sleeper")
if sys.argv[2] == "keep":
    supervisor.keep()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Yield a supervisor that is stopped at the end."""
    found = Supervisor(tmp_path)
    yield found
    found.stop(10)


def _killed_starter(home: Path, word: str) -> None:
    """Start a supervisor in a process that is killed as soon as it has started it."""
    with subprocess.Popen([sys.executable, "-c", STARTER, str(home), word], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"started\n"
        starter.kill()


def _sleeper() -> ProgramSpec:
    return ProgramSpec("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), lambda: True)


def test_it_ends_with_a_starter_that_was_killed_before_it_kept_it(supervisor: Supervisor) -> None:
    """Without the starter's word everything stops, and `settle` waits for that."""
    _killed_starter(supervisor.home, "leave")
    assert supervisor.settle(60) is False
    wait_for(lambda: processes_of(supervisor.home) == [], "its process ended with it")
    assert supervisor.processes() == {}


def test_it_outlives_a_starter_that_kept_it(supervisor: Supervisor) -> None:
    """After the word it goes on, and `settle` does not wait."""
    _killed_starter(supervisor.home, "keep")
    assert supervisor.settle(0) is True
    assert supervisor.processes()["sleeper"].alive
    assert supervisor.stop(20) is True
    assert processes_of(supervisor.home) == []


def test_one_that_hangs_is_killed_with_what_it_runs(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that does not end in time is killed by the id that it wrote into its lock."""
    monkeypatch.setattr("runbus.local.supervision._RPC_SECONDS", 1)
    supervisor.start([(_sleeper(), 1)], tied=False)
    supervisor.launch("sleeper")
    supervisor.keep()
    pid = supervisor.pid()
    assert pid is not None
    pids = {pid, supervisor.processes()["sleeper"].pid}
    os.kill(pid, signal.SIGSTOP)
    assert supervisor.stop(1) is True
    wait_for(lambda: not pids & set(processes_of(supervisor.home)), "both are gone")
    assert supervisor.pid() is None


def test_one_that_ended_cannot_be_kept(supervisor: Supervisor) -> None:
    """A supervisor that died during the start is told, not waited for."""
    supervisor.start([(_sleeper(), 1)], tied=False)
    pid = supervisor.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with pytest.raises(RunBusError, match="the process supervisor ended"):
        supervisor.keep()
