"""Keeps what the recorders of a process share (bus, courier, ticker), and handles fork, exit and SIGTERM."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError
from runbus.recorder.bus import RunBus
from runbus.recorder.courier import Courier
from runbus.recorder.identity import Attempts, now_us
from runbus.recorder.settings import CourierSettings
from runbus.schemas.events import Outcome

log = logging.getLogger(__name__)

_TICK_S = 0.025  # a batch is closed at its second tick: at most 50 ms after its first row
_RETRY_SIGNAL_S = 0.002
_PATIENCE_S = 0.1  # a loop that is inside of the recorder for so long after a signal waits there: its wait is ended
_END_S = 5.0  # how long the end waits for readers of a bus that no courier reads
_SETTLE_S = 0.5  # a fork waits at most so long for a client that is connecting (usually 20 ms)
_PACKAGE = os.path.dirname(__file__)  # noqa: PTH120 - compared with code objects' file names, which are strings


class OpenRecorder(Protocol):
    """A recorder whose stream is open, as the process uses it."""

    @property
    def bus(self) -> RunBus:
        """The bus that it publishes on."""

    def tick(self) -> None:
        """Close what is due."""

    def close_batch(self) -> None:
        """Publish what is recorded so far."""

    def end(self, outcome: Outcome, error: str) -> None:
        """Close the stream; nothing if it is closed."""

    def after_fork(self) -> None:
        """Begin a new attempt in a forked child."""


class Process:
    """Keeps the recorders, buses and couriers of this process. One instance, `PROCESS`; builds each at first use."""

    def __init__(self) -> None:
        self.attempts = Attempts()
        self._lock = threading.RLock()
        self._members: dict[int, weakref.ref[OpenRecorder]] = {}
        self._default: dict[CourierSettings, RunBus] = {}
        self._couriers: dict[int, tuple[RunBus, Courier]] = {}
        self._ticker: threading.Thread | None = None
        self._hooked = False
        self._worker_hooked = False
        self._terminated = False
        self._ending = False

    # --- what recorders ask for -------------------------------------------------------------------------------

    def attempt(self) -> int:
        """Return an attempt that no other recorder of this process has."""
        return self.attempts.next(now_us())

    def bus(self, settings: CourierSettings) -> RunBus:
        """Return the default bus for these settings."""
        with self._lock:
            return self._default.setdefault(settings, RunBus())

    def courier(self, bus: RunBus, settings: CourierSettings) -> Courier:
        """Return the courier of `bus`. Raises ConfigError if it delivers to another Kafka."""
        with self._lock:
            _, courier = self._couriers.get(id(bus), (bus, None))
            if courier is None:
                courier = Courier(bus, settings)
                self._couriers[id(bus)] = (bus, courier)
            if courier.settings != settings:
                raise ConfigError(f"this bus delivers to {courier.address} already: give the recorder a bus of its own")
            return courier

    def join(self, member: OpenRecorder) -> None:
        """Take a recorder that begins its stream: from now on it is ticked, and closed when the process ends."""
        with self._lock:
            self._hook()
            self._members[id(member)] = weakref.ref(member)
            if self._ticker is None or not self._ticker.is_alive():
                self._ticker = threading.Thread(target=self._tick, name="runbus-ticker", daemon=True)
                self._ticker.start()

    def leave(self, member: OpenRecorder) -> None:
        """Forget a closed recorder."""
        self._members.pop(id(member), None)

    def members(self) -> list[OpenRecorder]:
        """Return the recorders that are open."""
        return [member for ref in list(self._members.values()) if (member := ref()) is not None]

    # --- ticking ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK_S)
            with self._lock:
                for key, ref in self._members.copy().items():  # others leave meanwhile; copying is atomic
                    if ref() is None:
                        self._members.pop(key, None)
                if not self._members:
                    self._ticker = None
                    return
            for member in self.members():
                try:
                    member.tick()
                except Exception:
                    log.exception("closing a batch failed")

    # --- the end ----------------------------------------------------------------------------------------------

    def finish(self, outcome: Outcome, error: str) -> None:
        """Close every stream, deliver what is left within the deadline, and say what could not be delivered."""
        self._ending = True
        deadline = self._bounded()
        for member in self.members():
            member.end(outcome, error)
        self._deliver(deadline)

    def drain(self) -> None:
        """Deliver what is recorded so far within the deadline; the streams go on."""
        self._terminated = self._ending = True
        deadline = self._bounded()
        for member in self.members():
            member.close_batch()
        self._deliver(deadline)
        self._block_until(None)
        self._ending = False

    def release(self) -> None:
        """End waits inside of the recorder for room or for a delivery, unless the process is ending already.

        Takes locks: not for a signal handler.
        """
        if self._ending:
            return
        self._block_until(Deadline(0.0))
        for _, courier in list(self._couriers.values()):
            courier.release(True)

    def _bounded(self) -> Deadline:
        """Return the deadline of the end; no publisher waits beyond it."""
        for _, courier in list(self._couriers.values()):
            courier.release(False)
        seconds = max((c.settings.flush_seconds for _, c in list(self._couriers.values())), default=_END_S)
        deadline = Deadline.after(seconds, time.monotonic())
        self._block_until(deadline)
        return deadline

    def _block_until(self, deadline: Deadline | None) -> None:
        buses = [bus for bus, _ in list(self._couriers.values())] + [member.bus for member in self.members()]
        for bus in {id(bus): bus for bus in buses}.values():
            bus.block_until(deadline)

    def _deliver(self, deadline: Deadline) -> None:
        for _, courier in list(self._couriers.values()):
            if not courier.flush(deadline.remaining(time.monotonic())):
                _say_undelivered(courier)

    def _at_exit(self) -> None:
        outcome, error = exit_outcome()
        if self._terminated:
            outcome, error = "interrupted", "SIGTERM"
        self.finish(outcome, error)
        for _, courier in list(self._couriers.values()):
            courier.stop()

    def _hook(self) -> None:
        """Install the hooks of this process, once. A forked child inherits all but those of multiprocessing."""
        if not self._worker_hooked:
            self._worker_hooked = True
            _at_worker_exit(self._at_exit)
        if not self._hooked:
            self._hooked = True
            atexit.register(self._at_exit)
            _Sigterm(self).install()

    # --- fork -------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until no client is connecting."""
        for _, courier in list(self._couriers.values()):
            courier.before_fork(_SETTLE_S)

    def after_fork(self) -> None:
        """Begin anew in a forked child. Locks may be held by threads that do not exist here: all are replaced."""
        members, couriers = self.members(), list(self._couriers.values())
        self._lock = threading.RLock()
        self.attempts.after_fork()
        self._members, self._ticker = {}, None
        self._ending = False
        self._worker_hooked = False  # at the first step: multiprocessing clears its list after this
        for bus in {id(b): b for b in [*self._default.values(), *(bus for bus, _ in couriers)]}.values():
            bus.after_fork()
        for _, courier in couriers:
            courier.after_fork()
        for member in members:
            member.after_fork()


def _say_undelivered(courier: Courier) -> None:
    left = courier.undelivered
    log.warning(
        "%d steps were not delivered to Kafka at %s within %.1f s: %s. RUNBUS_RECORDER_FLUSH_SECONDS sets how long "
        "the end of the agent waits",
        sum(left.values()),
        courier.address,
        courier.settings.flush_seconds,
        ", ".join(f"{stream} {count}" for stream, count in list(left.items())[:10]) or "the end of a run",
    )


def exit_outcome() -> tuple[Outcome, str]:
    """Return the outcome of this process: failed if an exception was not caught."""
    error = sys.exc_info()[1] or getattr(sys, "last_value", None)
    return ("completed", "") if error is None else outcome_of(error)


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """Return the outcome and error text of a stream that this exception ended."""
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return "completed", ""
    outcome: Outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    return outcome, f"{type(error).__name__}: {error}"


def _at_worker_exit(callback: Callable[[], None]) -> None:
    """Run `callback` when a multiprocessing worker ends: it leaves by os._exit, which skips atexit."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, callback, exitpriority=100)


class _Sigterm:
    """Delivers what is left when SIGTERM comes, then does what would have been done without it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._previous: Callable[[int, FrameType | None], object] | int | None = None
        self._deferred_at: float | None = None

    def install(self) -> None:
        """Put the handler in front of the previous one; does nothing outside of the main thread."""
        if threading.current_thread() is not threading.main_thread():
            log.debug("SIGTERM is not handled: the first recorder started outside of the main thread")
            return
        self._previous = signal.getsignal(signal.SIGTERM)
        if self._previous is None or self._previous is signal.SIG_IGN:  # not Python's to chain to, or not deadly
            return
        signal.signal(signal.SIGTERM, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if _inside(frame):  # the loop may hold a lock of the recorder: try again when it has left it
            if self._deferred_at is None:
                self._deferred_at = time.monotonic()
            threading.Timer(_RETRY_SIGNAL_S, self._again, (number, self._deferred_at)).start()
            return
        self._deferred_at = None
        if callable(self._previous):  # the program's own handler decides whether this is the end
            self._process.drain()
            self._previous(number, frame)
        else:
            self._process.finish("interrupted", "SIGTERM")
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _again(self, number: int, since: float) -> None:
        """Send the signal once more, on another thread; if the loop waits in the recorder, end that wait first."""
        if time.monotonic() - since > _PATIENCE_S:
            self._process.release()
        os.kill(os.getpid(), number)


def _inside(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            return True
        frame = frame.f_back
    return False


PROCESS = Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=PROCESS.before_fork, after_in_child=PROCESS.after_fork)
