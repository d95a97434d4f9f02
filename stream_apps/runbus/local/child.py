"""Runs a command that dies with its parent, even if that is killed: `python -m runbus.local.child -- ARGV`.

Linux: the kernel sends SIGKILL to this process if its parent dies (the mark survives exec), then the command
replaces this process. Elsewhere: this process stays, runs the command and looks for its parent twice a second.
Only the standard library is imported: this runs before every process of the stack.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PARENT_VARIABLE = "RUNBUS_PARENT_PID"
_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5


def wrap(argv: tuple[str, ...], environment: Path | None = None) -> tuple[str, ...]:
    """Return the command line that runs `argv` bound to the life of the process that starts it.

    `environment` names a JSON file of variables to add: no quoting, and nothing to see in a list of processes.
    """
    options = ("--environment", str(environment)) if environment else ()
    return (sys.executable, "-m", "runbus.local.child", *options, "--", *argv)


def die_with_parent() -> None:
    """Ask the kernel (Linux only) to kill this process if its parent dies; the mark survives exec.

    The kernel watches the parent's *thread* that forked: start children from a thread that lives as long as they do.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def parent_is_gone() -> bool:
    """Return whether the process that started this one died before the kernel could be asked to watch it."""
    expected = os.environ.get(PARENT_VARIABLE)
    return bool(expected) and os.getppid() != int(expected or 0)


def watch(argv: list[str]) -> int:
    """Run `argv`, pass signals on, and kill it if the parent is gone. Returns its exit code."""
    parent = os.getppid()
    command = subprocess.Popen(argv)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: command.send_signal(received))
    while command.poll() is None:
        if os.getppid() != parent:
            command.kill()
        time.sleep(_WATCH_SECONDS)
    return command.returncode


def main(argv: list[str]) -> int:
    """Entry point: `[--watch] [--environment FILE] -- COMMAND ...`."""
    options, command = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    if "--environment" in options:
        os.environ.update(json.loads(Path(options[options.index("--environment") + 1]).read_text(encoding="utf-8")))
    if sys.platform != "linux" or "--watch" in options:
        return watch(command)
    die_with_parent()
    if parent_is_gone():
        return 1
    try:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
