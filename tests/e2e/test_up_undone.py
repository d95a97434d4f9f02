"""An `up` that fails, is interrupted or is killed leaves nothing half up; a stack remembers its options."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runbus.local.stack import Stack
from tests.e2e.command import Command, processes_of, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ALL = {"kafka", "clickhouse", "sink", "episodes", "live-metrics", "watchdog", "dashboard"}


def _alive(home: Path) -> set[str]:
    return {name for name, process in Stack(home).supervisor.processes().items() if process.alive}


#: How far a start is, by what can be seen from outside.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "supervisor": lambda home: (home / "run" / "starting").exists(),
    "engines": lambda home: {"kafka", "clickhouse"} <= _alive(home),
    "topics": lambda home: (home / "runbus.toml").exists(),
    "apps": lambda home: _alive(home) == ALL,
}


def _interrupted(runbus: Command, moment: str, number: signal.Signals) -> subprocess.Popen[str]:
    """Start `up`, send it a signal at a moment and return it when it has ended."""
    up = runbus.start("up")
    wait_for(lambda: MOMENTS[moment](runbus.home) or up.poll() is not None, moment)
    up.send_signal(number)
    up.wait(timeout=120)
    return up


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param("supervisor", signal.SIGINT, marks=pytest.mark.long),
        ("engines", signal.SIGTERM),
        pytest.param("topics", signal.SIGHUP, marks=pytest.mark.long),
        ("apps", signal.SIGINT),
    ],
)
def test_an_interrupted_up_is_undone_and_says_so(runbus: Command, moment: str, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal, from the first process to the last: one line, nothing runs, no trace."""
    up = _interrupted(runbus, moment, number)
    assert up.stdout is not None
    printed = up.stdout.read()
    assert up.returncode == 130, printed
    assert f"runbus: interrupted: what was started of the stack of {runbus.home} is stopped again" in printed
    assert "Traceback" not in printed
    assert processes_of(runbus.home) == []
    done = runbus.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no stack runs" in done.stdout


@pytest.mark.long  # short: tests/integration/test_local_stack.py, its supervisor killed
@pytest.mark.parametrize("moment", ["supervisor", "engines", "apps"])
def test_a_killed_up_ends_what_it_started(runbus: Command, moment: str) -> None:
    """SIGKILL of `up`: the supervisor notices and stops everything; `down` waits for that, the next `up` works."""
    up = _interrupted(runbus, moment, signal.SIGKILL)
    assert up.returncode == -signal.SIGKILL
    done = runbus.run("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert processes_of(runbus.home) == []
    if moment == "apps":
        runbus.json("up")
        assert _alive(runbus.home) == ALL


@pytest.mark.long  # short: tests/integration/test_local_stack.py, its supervisor killed
def test_an_up_right_after_a_killed_one_waits_for_its_end(runbus: Command) -> None:
    """Two starts do not mix: the second waits for the supervisor of the first to end and is whole."""
    _interrupted(runbus, "engines", signal.SIGKILL)
    assert not runbus.json("up")["already_running"]
    assert _alive(runbus.home) == ALL
    supervisors = [pid for pid in processes_of(runbus.home) if b"runbus.local.supervisord" in _command(pid)]
    assert len(supervisors) == 1


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_commands_beside_an_up_are_refused_and_change_nothing(runbus: Command) -> None:
    """A second `up` and a `down` while the first starts: one line each, exit code 1, and the first succeeds."""
    up = runbus.start("up")
    wait_for(lambda: MOMENTS["engines"](runbus.home), "the engines start")
    for command in ("up", "down"):
        done = runbus.run(command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"runbus: another runbus command is starting or stopping the stack of {runbus.home}: wait for it to end.\n"
        )
    assert up.wait(timeout=120) == 0
    assert _alive(runbus.home) == ALL


@pytest.mark.long  # short: tests/integration/test_local_stack.py, fixed ports and the registry
def test_a_registry_stays_and_other_options_say_what_they_change(runbus: Command) -> None:
    """`up --registry`, `down`, `up`: the same stack again, whose sink works; what cannot change is one line."""
    first = runbus.json("up", "--registry")
    assert first["registry"]
    assert runbus.run("down").returncode == 0
    second = runbus.json("up")
    assert (second["registry"], second["kafka"], second["changed"]) == (first["registry"], first["kafka"], [])
    assert "registry" in _alive(runbus.home)
    refused = runbus.run("up", "--kafka-port", "1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "run `runbus down` first to move it to 1." in refused.stderr
    assert runbus.run("down").returncode == 0
    refused = runbus.run("up", "--no-registry")
    assert refused.returncode == 1
    assert "needs it to be read: leave out --no-registry" in refused.stderr
    assert processes_of(runbus.home) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system of 230 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=230m", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a file system here (uid {os.getuid()})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_fills_up_during_a_start_is_one_line(small_disk: Path) -> None:
    """No space while the engines start: the start is undone, whatever gave up first, and the line says what to do."""
    runbus = Command(small_disk / "home")
    up = runbus.start("up")
    wait_for(lambda: MOMENTS["engines"](runbus.home), "the engines start")
    with (small_disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while up.poll() is None:
            file.write(bytes(1 << 16))
    printed, _ = up.communicate(timeout=200)
    assert up.returncode == 1, printed
    said = [line for line in printed.splitlines() if line.startswith("runbus:")]  # beside what a slow start shows
    assert len(said) == 1, printed
    assert said[0].startswith(f"runbus: no space is left at {runbus.home}; what was started is stopped again.")
    assert "Traceback" not in printed
    assert processes_of(runbus.home) == []


def test_a_home_that_becomes_read_only_can_be_stopped(small_disk: Path) -> None:
    """`up` names the folder, `status` and `down` work: nothing that runs is out of reach."""
    runbus = Command(small_disk / "home")
    runbus.home.mkdir()
    (runbus.home / "stack.lock").touch()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = runbus.run("up")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Read-only file system. Make it writable or set RUNBUS_HOME" in done.stderr
    assert "Traceback" not in done.stderr
    assert runbus.run("down").returncode == 0
    assert "no stack runs" in runbus.run("status").stdout
