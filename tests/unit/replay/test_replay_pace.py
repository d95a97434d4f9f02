"""The time between two moments is kept, scaled."""

from __future__ import annotations

import pytest

from runbus.replay.pace import Pace


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 6.0), (0.5, 12.0), (4.0, 1.5), (float("inf"), 0.0)])
def test_moments_come_in_their_time(speed: float, seconds: float) -> None:
    """The first at once, the last when its turn is; one before the others waits for nothing."""
    clock = Clock()
    pace = Pace(speed, clock, clock.sleep)
    begin = 1_790_000_000_000_000
    for at_us in (begin, begin + 2_000_000, begin + 1_000_000, begin + 6_000_000):
        pace.wait(at_us)
    assert clock.now - 100.0 == pytest.approx(seconds)


def test_what_takes_longer_is_not_waited_for_twice() -> None:
    """Work between two moments is part of their time."""
    clock = Clock()
    pace = Pace(1.0, clock, clock.sleep)
    pace.wait(0)
    clock.now += 5.0
    pace.wait(3_000_000)
    assert clock.now == 105.0
    pace.wait(7_000_000)
    assert clock.now == 107.0
