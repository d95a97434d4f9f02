"""The thread that closes the batches of slow agents outlives whatever recorders do meanwhile."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from runbus.recorder.bus import RunBus
from runbus.recorder.process import PROCESS
from runbus.schemas.events import Outcome


@dataclass(eq=False)
class Ticked:
    """A recorder that only waits for its tick."""

    ticked: threading.Event = field(default_factory=threading.Event)
    bus: RunBus = field(default_factory=RunBus)

    def tick(self) -> None:
        """Note it."""
        self.ticked.set()

    def close_batch(self) -> None:
        """Have no batch."""

    def end(self, outcome: Outcome, error: str) -> None:
        """Have nothing to end."""

    def after_fork(self) -> None:
        """Have nothing to begin."""


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


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
