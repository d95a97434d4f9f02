"""Keeps the open streams of a process and what they share (bus, courier, ticker), and handles fork and exit."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError
from runbus.kafka.model import StreamId
from runbus.recorder.bus import RunBus
from runbus.recorder.command_feed import CommandFeed
from runbus.recorder.courier import Courier
from runbus.recorder.identity import Attempts, now_us
from runbus.recorder.journal import journal as journals
from runbus.recorder.journal.room import ROOMS
from runbus.recorder.outcome import exit_outcome
from runbus.recorder.settings import CourierSettings
from runbus.recorder.sigterm import Sigterm
from runbus.schemas.events import Outcome

if TYPE_CHECKING:
    from runbus.recorder.journal.adoption import Adoption  # it reads the log: who has no journal does not pay for that

log = logging.getLogger(__name__)

_TICK_S = 0.025  # a batch is closed at its second tick: at most 50 ms after its first row
_END_S = 5.0  # how long the end waits for readers of a bus that no courier reads
_SETTLE_S = 0.5  # a fork waits at most so long for a client that is connecting (usually 20 ms)


class OpenStream(Protocol):
    """A stream that is open, as the process uses it; see Recording."""

    bus: RunBus
    known_exception: int

    def tick(self) -> bool:
        """Close what is due; return whether the stream is still open."""

    def close_batch(self) -> None:
        """Publish what is recorded so far."""

    def end(self, outcome: Outcome, error: str, /) -> bool:
        """Publish the end; return False if that was done before."""

    def beside(self, other: StreamId, /) -> None:
        """Say that this stream goes on beside another one that has begun."""

    def after_fork(self) -> None:
        """Leave the stream to the parent (called in a forked child)."""


class Process:
    """Keeps the streams, buses and couriers of this process. One instance, `PROCESS`; builds each at first use.

    Attributes:
        lock: is held while a stream begins; a forked child has a new one.
    """

    def __init__(self) -> None:
        self.attempts = Attempts()
        self.lock = threading.RLock()
        self._sigterm = Sigterm(self)
        self._members: dict[int, OpenStream] = {}
        self._default: dict[CourierSettings, RunBus] = {}
        self._couriers: dict[int, tuple[RunBus, Courier]] = {}
        self._feeds: dict[CourierSettings, CommandFeed] = {}
        self._adoptions: dict[Path, Adoption] = {}
        self._ticker: threading.Thread | None = None
        self._before_end: list[weakref.WeakMethod[Callable[[], None]]] = []
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
        with self.lock:
            return self._default.setdefault(settings, RunBus())

    def courier(self, bus: RunBus, settings: CourierSettings) -> Courier:
        """Return the courier of `bus`. Raises ConfigError if it delivers to another Kafka."""
        with self.lock:
            _, courier = self._couriers.get(id(bus), (bus, None))
            if courier is None:
                courier = Courier(bus, settings)
                self._couriers[id(bus)] = (bus, courier)
            if courier.settings != settings:
                raise ConfigError(f"this bus delivers to {courier.address} already: give the recorder a bus of its own")
            return courier

    def command_feed(self, settings: CourierSettings) -> CommandFeed:
        """Return what reads the commands for the agents of this process."""
        with self.lock:
            return self._feeds.setdefault(settings, CommandFeed(settings))

    def adopt(self, root: Path, settings: CourierSettings) -> Adoption:
        """Return what delivers the journals of dead processes in a folder, at its first use here."""
        from runbus.recorder.journal.adoption import Adoption

        with self.lock:
            if root not in self._adoptions:
                self._adoptions[root] = Adoption(root, settings)
            return self._adoptions[root]

    def expect(self) -> None:
        """Get ready for streams, as a recorder is made: SIGTERM can be caught from the main thread only."""
        self._sigterm.install()

    def join(self, member: OpenStream) -> None:
        """Take a stream that begins: from now on it is ticked, and ended when the process ends."""
        with self.lock:
            self._hook()
            self._members[id(member)] = member
            if self._ticker is None or not self._ticker.is_alive():
                self._ticker = threading.Thread(target=self._tick, name="runbus-ticker", daemon=True)
                self._ticker.start()

    def before_end(self, method: Callable[[], None]) -> None:
        """Call a method before the streams end with the process: of somebody who holds rows back. It is kept weakly."""
        with self.lock:
            self._before_end = [known for known in self._before_end if known() is not None]
            self._before_end.append(weakref.WeakMethod(method))

    def leave(self, member: OpenStream) -> None:
        """Forget a stream that has ended."""
        self._members.pop(id(member), None)

    def members(self) -> list[OpenStream]:
        """Return the streams that are open."""
        return list(self._members.values())

    # --- ticking ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK_S)
            with self.lock:
                if not self._members:
                    self._ticker = None
                    return
            for member in self.members():
                try:
                    if not member.tick():
                        self.leave(member)
                except Exception:
                    log.exception("closing a batch failed")

    # --- the end ----------------------------------------------------------------------------------------------

    def finish(self, outcome: Outcome, error: str) -> None:
        """End every stream, deliver what is left within the deadline, and say what could not be delivered."""
        self._finish(lambda _: (outcome, error))

    def _finish(self, how: Callable[[OpenStream], tuple[Outcome, str]]) -> None:
        self._ending = True
        deadline = self._bounded()
        for held in list(self._before_end):
            write = held()
            try:
                if write is not None:
                    write()
            except Exception:
                log.exception("what was held back could not be recorded")
        for member in self.members():
            member.end(*how(member))
            self.leave(member)
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
        ROOMS.end_waits(deadline is not None)

    def _deliver(self, deadline: Deadline) -> None:
        for _, courier in list(self._couriers.values()):
            if not courier.flush(deadline.remaining(time.monotonic())):
                _say_undelivered(courier)

    def _at_exit(self) -> None:
        if self._terminated:
            self.finish("interrupted", "SIGTERM")
        else:
            self._finish(lambda member: exit_outcome(member.known_exception))
        for adoption in list(self._adoptions.values()):
            adoption.stop()
        for _, courier in list(self._couriers.values()):
            courier.stop()
        for feed in list(self._feeds.values()):
            feed.stop()

    def _hook(self) -> None:
        """Install the hooks of this process, once. A forked child inherits all but those of multiprocessing."""
        self._sigterm.install()
        if not self._worker_hooked:
            self._worker_hooked = True
            _at_worker_exit(self._at_exit)
        if not self._hooked:
            self._hooked = True
            atexit.register(self._at_exit)

    # --- fork -------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until no client is connecting."""
        for _, courier in list(self._couriers.values()):
            courier.before_fork(_SETTLE_S)
        for feed in list(self._feeds.values()):
            feed.before_fork(_SETTLE_S)
        for adopter in [adoption.courier for adoption in list(self._adoptions.values())]:
            if adopter is not None:
                adopter.before_fork(_SETTLE_S)

    def after_fork(self) -> None:
        """Begin anew in a forked child. Locks may be held by threads that do not exist here: all are replaced."""
        members, couriers = self.members(), list(self._couriers.values())
        self.lock = threading.RLock()
        self.attempts.after_fork()
        self._members, self._ticker = {}, None
        self._ending = False
        journals.after_fork()
        for adopter in [adoption.courier for adoption in list(self._adoptions.values())]:
            if adopter is not None:
                adopter.abandon()
        self._adoptions = {}
        self._worker_hooked = False  # at the first step: multiprocessing clears its list after this
        for bus in {id(b): b for b in [*self._default.values(), *(bus for bus, _ in couriers)]}.values():
            bus.after_fork()
        for _, courier in couriers:
            courier.after_fork()
        for feed in list(self._feeds.values()):
            feed.after_fork()
        for member in members:
            member.after_fork()


def _say_undelivered(courier: Courier) -> None:
    left = courier.undelivered
    log.warning(
        "%d steps or values were not delivered to Kafka at %s within %.1f s: %s. RUNBUS_RECORDER_FLUSH_SECONDS sets "
        "how long the end of the agent waits%s",
        sum(left.values()),
        courier.address,
        courier.settings.flush_seconds,
        ", ".join(f"{stream} {count}" for stream, count in list(left.items())[:10]) or "the end of a run",
        f". {courier.journaled} of them are in a journal: `runbus journal flush` delivers them"
        if courier.journaled
        else "",
    )


def _at_worker_exit(callback: Callable[[], None]) -> None:
    """Run `callback` when a multiprocessing worker ends: it leaves by os._exit, which skips atexit.

    A worker of spawn or forkserver imports the main module before it is one: what is registered then is cleared when it
    begins its work, and registered again by what multiprocessing calls just after that.
    """
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is None or process is None:
        return

    def register(_: object = None) -> None:
        if process.parent_process() is not None:
            util.Finalize(None, callback, exitpriority=100)

    register()
    util.register_after_fork(register, register)


PROCESS = Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=PROCESS.before_fork, after_in_child=PROCESS.after_fork)
