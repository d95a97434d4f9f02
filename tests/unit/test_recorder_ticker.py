"""The thread that closes the batches of slow agents outlives whatever recorders do meanwhile."""

import gc
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from runbus.kafka.model import StreamId
from runbus.recorder.bus import RunBus
from runbus.recorder.process import PROCESS
from runbus.schemas.events import Outcome


@dataclass(eq=False)
class Ticked:
    """A stream that only waits for its tick."""

    ticked: threading.Event = field(default_factory=threading.Event)
    bus: RunBus = field(default_factory=RunBus)
    known_exception: int = 0

    def tick(self) -> bool:
        """Note it."""
        self.ticked.set()
        return True

    def close_batch(self) -> None:
        """Have no batch."""

    def end(self, _outcome: Outcome, _error: str, /) -> bool:
        """Have nothing to end."""
        return True

    def beside(self, _other: StreamId, /) -> None:
        """Have no agent."""

    def after_fork(self) -> None:
        """Have nothing to begin."""


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def leaving_at_collections() -> Iterator[list[Ticked]]:
    """Collect garbage at each allocation; each time it is done in the ticker, one of the yielded leaves."""
    leaving = [Ticked() for _ in range(100)]

    def leave(phase: str, _info: object) -> None:
        if phase == "stop" and leaving and threading.current_thread().name == "runbus-ticker":
            PROCESS.leave(leaving.pop())

    before = gc.get_threshold()
    gc.callbacks.append(leave)
    gc.set_threshold(1)
    yield leaving
    gc.set_threshold(*before)
    gc.callbacks.remove(leave)


def test_a_finalizer_that_closes_a_recorder_does_not_stop_the_ticker(leaving_at_collections: list[Ticked]) -> None:
    """The collector may run wherever something is allocated, and with it whatever an object does at its end."""
    staying = Ticked()
    for member in [staying, *leaving_at_collections]:
        PROCESS.join(member)
    for _ in range(3):
        staying.ticked.clear()
        assert staying.ticked.wait(10)
    assert len(leaving_at_collections) < 100, "nothing was collected in the ticker"
    for member in [staying, *leaving_at_collections]:
        PROCESS.leave(member)


@pytest.mark.usefixtures("quick_switches")
def test_recorders_that_leave_do_not_stop_the_ticker() -> None:
    """A thousand leave one after the other, while the ticker looks who is there."""
    staying, leaving = Ticked(), [Ticked() for _ in range(1000)]
    for _ in range(5):
        for member in [staying, *leaving]:
            PROCESS.join(member)
        for member in leaving:
            PROCESS.leave(member)
            member.ticked.wait(1e-5)  # gives the ticker its turn
        staying.ticked.clear()
        assert staying.ticked.wait(10)
    PROCESS.leave(staying)
