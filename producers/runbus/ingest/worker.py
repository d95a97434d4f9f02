"""Runs a worker as if nobody were beside it: its output is passed on byte by byte, its end and its signals are kept."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from runbus.config.errors import RunBusError

_CHUNK = 64 * 1024
_LOOK_S = 0.05
#: A worker has ended, and what it started still holds its output: so long a silence is the end of that too.
_SILENCE_S = 1.0
_FORWARDED = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT")
#: what a terminal sends to everyone in front of it
_OF_TERMINAL = frozenset([signal.SIGINT, signal.SIGQUIT])


class CannotStart(RunBusError):
    """The worker cannot be started. `code` is what a shell would end with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Worker:
    """A process whose standard output passes through here. Standard input and error are those of this process.

    To be made in the main thread, before other threads begin: they inherit which signals are not theirs.

    Args:
        command: program and arguments.

    Raises:
        CannotStart: there is no such program, or it may not be run.
    """

    def __init__(self, command: Sequence[str]) -> None:
        signals = {getattr(signal, name) for name in _FORWARDED}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            self._process = subprocess.Popen(
                list(command),
                stdout=subprocess.PIPE,
                bufsize=0,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),  # noqa: PLW1509 - no thread yet
            )
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            code = 127 if isinstance(error, FileNotFoundError) else 126
            raise CannotStart(f"cannot start {command[0]}: {error.strerror or error}", code) from error
        threading.Thread(target=self._forward, args=(signals,), name="runbus-signals", daemon=True).start()

    def pass_on(self, take: Callable[[bytes], object]) -> int:
        """Pass on all that it prints, and hand it to `take`; return its exit code when it has ended, -n = signal n.

        If nobody reads what this process prints, the worker finds its output closed, as it would without it.
        """
        output = self._process.stdout
        assert output is not None
        silent_since = time.monotonic()
        while True:
            if not select.select([output], [], [], _LOOK_S)[0]:
                if self._process.poll() is not None and time.monotonic() - silent_since > _SILENCE_S:
                    break
                continue
            chunk = os.read(output.fileno(), _CHUNK)
            if not chunk:
                break
            take(chunk)
            if not _write(chunk):
                break
            silent_since = time.monotonic()
        output.close()
        return self._process.wait()

    def _forward(self, signals: set[signal.Signals]) -> None:
        while True:
            number = signal.sigwait(signals)
            if number in _OF_TERMINAL and _in_front_of_a_terminal():
                continue  # the worker has it already
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def end_as(code: int) -> None:
    """End this process at once, as its worker ended: by the same signal, or with the same exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if code < 0:
        with suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        with suppress(ImportError):
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.Signals(-code)})
        os.kill(os.getpid(), -code)
        time.sleep(1.0)  # it comes; if it does not end a process, a shell's number for it does
        code = 128 - code
    os._exit(code)  # all is delivered or given up: what runs at the end of a recorder's process would wait once more


def _write(chunk: bytes) -> bool:
    """Write to standard output; return False if nobody reads it."""
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(1, view) :]
        except BlockingIOError:
            select.select([], [1], [])
        except BrokenPipeError:
            return False
    return True


def _in_front_of_a_terminal() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
