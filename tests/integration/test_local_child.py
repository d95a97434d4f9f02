"""A child of the stack dies with its parent, however the parent ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runbus.local.child import PARENT_VARIABLE, wrap
from tests.support.waiting import until

pytestmark = pytest.mark.integration

# Starts the launcher as its own child, writes the pid of the command, then waits for ever.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "runbus.local.child", *sys.argv[1:]])
child.wait()
"""
COMMAND = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["kernel", "watcher"])
def test_command_dies_with_a_killed_parent(tmp_path: Path, options: list[str]) -> None:
    """SIGKILL of the parent takes the command along: by the kernel on Linux, by the watcher elsewhere."""
    note = tmp_path / "pid"
    arguments = [*options, "--", sys.executable, "-c", COMMAND, str(note)]
    with subprocess.Popen([sys.executable, "-c", PARENT, *arguments]) as parent:
        until("it has started", lambda: note.is_file() and bool(note.read_text()))
        pid = int(note.read_text())
        assert is_alive(pid)
        parent.kill()
    until("it is gone", lambda: not is_alive(pid))


@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["kernel", "watcher"])
def test_signal_and_exit_code_pass_through(tmp_path: Path, options: list[str]) -> None:
    """The command gets the SIGTERM and its exit code is the launcher's."""
    note = tmp_path / "ready"
    script = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        f"open({str(note)!r}, 'w').write('x'); time.sleep(600)"
    )
    argv = [sys.executable, "-m", "runbus.local.child", *options, "--", sys.executable, "-c", script]
    with subprocess.Popen(argv) as launcher:
        until("it has started", lambda: note.is_file() and bool(note.read_text()))
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(15) == 7


def test_parent_that_died_before_is_noticed() -> None:
    """A launcher whose parent is not the expected one does not start its command."""
    environment = {**os.environ, PARENT_VARIABLE: "1"}
    argv = [sys.executable, "-m", "runbus.local.child", "--", sys.executable, "-c", "print('ran')"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_command_that_does_not_exist_is_named() -> None:
    """A missing program is one line and exit code 127."""
    argv = [sys.executable, "-m", "runbus.local.child", "--", "/no/such/program"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr == "cannot run /no/such/program: No such file or directory\n"


def test_variables_come_from_a_file(tmp_path: Path) -> None:
    """Variables of a service reach its command unchanged, and its own environment stays."""
    value = 'a "b" %d, c=d\n'
    (tmp_path / "e.json").write_text(json.dumps({"ODD": value}))
    script = "import os, sys; sys.stdout.write(os.environ['ODD'] + os.environ['KEPT'])"
    argv = wrap((sys.executable, "-c", script), tmp_path / "e.json")
    done = subprocess.run(argv, env={**os.environ, "KEPT": "k"}, capture_output=True, text=True, check=True)
    assert done.stdout == value + "k"
