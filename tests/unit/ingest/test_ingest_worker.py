"""A worker runs as if nobody were beside it: real processes, of which this is the parent's parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runbus.ingest.acts import Defaults
from runbus.ingest.beside import Beside
from runbus.ingest.dialects.mosaic import Mosaic
from runbus.ingest.reading import Reading
from tests.support.ingested import Ingested

# A library in the process of the tests may have blocked SIGPIPE; where a person types, it is not.
_RUN = """
import signal, sys
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPIPE])
from runbus.ingest.worker import CannotStart, Worker, end_as
try:
    worker = Worker(sys.argv[2:])
except CannotStart as error:
    print(error, file=sys.stderr)
    sys.exit(error.code)
with open(sys.argv[1], "wb") as copy:
    code = worker.pass_on(copy.write)
end_as(code)
"""


def beside(copy: Path, *command: str, **options: object) -> subprocess.Popen[bytes]:
    """Start a worker with somebody beside it who copies its output."""
    return subprocess.Popen([sys.executable, "-c", _RUN, str(copy), *command], **options)  # type: ignore[call-overload, no-any-return]


def run(copy: Path, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one to its end."""
    return subprocess.run(
        [sys.executable, "-c", _RUN, str(copy), *command], input=stdin, capture_output=True, check=False
    )


def test_output_error_input_and_exit_code_are_the_workers(tmp_path: Path) -> None:
    """Byte by byte, whatever the bytes are."""
    script = "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.stderr.write('e'); sys.exit(37)"
    content = bytes(range(256)) * 5000 + b"\nno end"
    done = run(tmp_path / "copy", sys.executable, "-c", script, stdin=content)
    assert (done.returncode, done.stdout == content, done.stderr) == (37, True, b"e")
    assert (tmp_path / "copy").read_bytes() == content


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGQUIT])
def test_a_signal_reaches_the_worker_which_decides(tmp_path: Path, number: signal.Signals) -> None:
    """It may end in its own way, with a code of its own."""
    script = f"""
import signal, sys, os
signal.signal({int(number)}, lambda *_: (print("caught", flush=True), os._exit(9)))
print("ready", flush=True)
while True: signal.pause()
"""
    with beside(tmp_path / "copy", sys.executable, "-c", script, stdout=subprocess.PIPE, start_new_session=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == b"ready\n"
        one.send_signal(number)
        assert one.stdout.read() == b"caught\n"
    assert one.returncode == 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_a_worker_that_a_signal_ends_is_seen_to_end_so(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever waits for us sees the same signal."""
    default = "" if number == signal.SIGKILL else f"signal.signal({int(number)}, signal.SIG_DFL)"
    script = f"import os, signal\n{default}\nos.kill(os.getpid(), {int(number)})"
    assert run(tmp_path / "copy", sys.executable, "-c", script).returncode == -number


@pytest.mark.parametrize(("command", "code"), [("no-such-worker", 127), ("/", 126)])
def test_a_worker_that_cannot_be_started(tmp_path: Path, command: str, code: int) -> None:
    """The codes are a shell's."""
    done = run(tmp_path / "copy", command)
    assert done.returncode == code
    assert done.stderr.startswith(f"cannot start {command}: ".encode())


def test_a_worker_finds_its_output_closed_when_nobody_reads_it(tmp_path: Path) -> None:
    """As in a pipe into `head`."""
    with beside(tmp_path / "copy", "yes", stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert os.read(one.stdout.fileno(), 2) == b"y\n"
        one.stdout.close()
    assert one.returncode == -signal.SIGPIPE


def test_what_a_worker_has_started_does_not_hold_its_end(tmp_path: Path) -> None:
    """A process of the worker's goes on with its output open."""
    script = """
import subprocess
print("x", flush=True)
print(subprocess.Popen(["sleep", "300"], stderr=subprocess.DEVNULL).pid, flush=True)
"""
    done = run(tmp_path / "copy", sys.executable, "-c", script)
    os.kill(int(done.stdout.split()[1]), signal.SIGKILL)
    assert done.returncode == 0


def reading(found: Ingested) -> Reading:
    """Return a reading of MOSAIC's lines."""
    return Reading(Mosaic(Defaults("r")), found.recordings, found.letters, 1 << 20, prints=True)


LINE = b'{"type": "step", "episode_index": 0, "action": 1, "reward": 1.0, "terminated": false, "truncated": false}\n'


def test_who_reads_never_holds_who_prints() -> None:
    """While reading stands still, what does not fit is counted as lost; the lines around it are recorded."""
    found = Ingested()
    one = reading(found)
    held, go_on = threading.Event(), threading.Event()
    one.after_line = lambda _size: (held.set(), go_on.wait())  # type: ignore[assignment, func-returns-value]
    aside = Beside(one, 10 * len(LINE), lambda _error: None)
    aside.take(LINE)
    assert held.wait(60)
    for _ in range(10):
        aside.take(LINE)
    for _ in range(5):
        aside.take(LINE)  # does not fit
    go_on.set()
    aside.end()
    assert (one.read.lost_bytes, found.made.steps) == (5 * len(LINE), 11)
    found.close()


def test_a_fault_of_ours_is_said_and_the_worker_goes_on() -> None:
    """Later chunks are taken and go nowhere."""
    found, said = Ingested(), list[str]()
    one = reading(found)

    def fail(_size: int) -> None:
        raise RuntimeError("a fault")

    one.after_line = fail
    aside = Beside(one, 1000, lambda error: said.append(str(error)))
    aside.take(LINE)
    aside.end()
    aside.take(LINE)
    assert said == ["a fault"]
    found.close()
