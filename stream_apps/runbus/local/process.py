"""Describes a process to run (`ProgramSpec`) and runs it as a child of this process (`RunningProcess`)."""

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.local.child import PARENT_VARIABLE, wrap
from runbus.local.env import stack_environment

log = logging.getLogger(__name__)

_PROBE_EVERY = 0.05
_JAVA_FRAME = re.compile(r"\s+(at |\.\.\. \d+ more)")


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """One process to run. `env` is added to `stack_environment` of its starter.

    `probe` returns True if the service answers; it takes at most about two seconds and never raises.
    """

    name: str
    argv: tuple[str, ...]
    probe: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    address: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    start_seconds: float = 60.0
    stop_seconds: float = 20.0


class RunningProcess:
    """A service that runs as a child of this process and dies with it. Not supervised: nothing restarts it."""

    def __init__(self, service: ProgramSpec, log_path: Path) -> None:
        """Start it; output is appended to `log_path`. Returns at once: see `wait_ready`."""
        self.service = service
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as output:
            self.process = subprocess.Popen(
                wrap(service.argv),
                env={**stack_environment(os.environ), **service.env, PARENT_VARIABLE: str(os.getpid())},
                cwd=service.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the owner only; it stops its services in order
            )

    @property
    def pid(self) -> int:
        """Process id of the service itself (the launcher replaced itself by it)."""
        return self.process.pid

    def wait_ready(self) -> None:
        """Return once the probe succeeds. Raises RunBusError, with the last log lines, if it ends or is too slow."""
        wait_ready(self.service, self.log_path, lambda: self.process.poll() is None)

    def stop(self) -> int:
        """Stop it cleanly, by force after `stop_seconds`; returns the exit code. Safe to call again."""
        if self.process.poll() is None:
            self.process.send_signal(self.service.stop_signal)
            try:
                self.process.wait(self.service.stop_seconds)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop within %.0f s: killed", self.service.name, self.service.stop_seconds)
                self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL it and collect it."""
        self.process.kill()
        self.process.wait()


def start(service: ProgramSpec, log_path: Path) -> RunningProcess:
    """Start `service`, wait until it answers and return it; a service that does not come up is stopped."""
    running = RunningProcess(service, log_path)
    try:
        running.wait_ready()
    except BaseException:
        running.stop()
        raise
    return running


@contextmanager
def running(service: ProgramSpec, log_path: Path) -> Iterator[RunningProcess]:
    """Run `service` for the length of a `with` block, ready when the block begins, stopped when it ends."""
    process = start(service, log_path)
    try:
        yield process
    finally:
        process.stop()


def wait_ready(service: ProgramSpec, log_path: Path, alive: Callable[[], bool]) -> None:
    """Probe until ready. Raises RunBusError if `alive` turns False or `start_seconds` pass."""
    deadline = Deadline.after(service.start_seconds, time.monotonic())
    while not service.probe():
        if not alive():
            raise RunBusError(f"{service.name} ended while starting.{last_lines(log_path)}")
        if deadline.passed(time.monotonic()):
            seconds = service.start_seconds
            raise RunBusError(f"{service.name} did not answer within {seconds:.0f} s.{last_lines(log_path)}")
        time.sleep(_PROBE_EVERY)


def last_lines(log_path: Path, count: int = 12) -> str:
    """Return the end of a log, Java's stack frames left out, and its path, as the tail of an error message."""
    try:
        lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    telling = [line for line in lines if line.strip() and not _JAVA_FRAME.match(line)]
    shown = "".join(f"\n  {line[:300]}" for line in telling[-count:])
    return f" Its log is {log_path}" + (f" and ends with:{shown}" if shown else " (empty).")
