"""Sinks die, stop, come and go at the worst moments: every step is stored once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.sink.mortal import Pair, pair
from tests.faults.sink.points import POINTS
from tests.faults.sink.scenarios import COUNTS, LEAVES, REPAIRS, coming_and_going, killed_at, stopped_at
from tests.faults.sink.soak import Group, SoakRun
from tests.faults.sink.traffic import Rate

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

PROTOCOLS = (Group("consumer"), Group("classic"))
RATE = Rate(2_000.0)
Say = Callable[[str], None]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Pair]:
    """Yield a broker and an engine of this test alone."""
    with pair(tmp_path) as made:
        yield made


def _times(point: str) -> tuple[int, ...]:
    """Return at which call each sink dies: a replay makes few of them, a start one."""
    if point in REPAIRS:
        return (1, 1, 2)
    if point in COUNTS:
        return (1, 2, 3)
    return (1, 3, 9) if POINTS[point].owner is not None else (1, 1)


@pytest.mark.parametrize("point", POINTS)
def test_kills_at_named_points_change_nothing(point: str, place: Pair, tmp_path: Path, say: Say) -> None:
    """A sink dies exactly there, again and again, also in the repair of a repair: everything is stored once."""
    # who leaves gives partitions of `steps` away: cooperative-sticky may find that it is others' turn
    group = Group("consumer") if point in LEAVES else Group("classic", static=True)
    stage = SoakRun(place, tmp_path, group, RATE, 1)
    killed_at(stage, point, _times(point))
    work = stage.audit.work()
    say(f"\n{point}: {stage.traffic.steps:,} steps: exact\n  {work}")
    if point in REPAIRS:
        assert work.repairs >= 1


@pytest.mark.parametrize("group", PROTOCOLS, ids=str)
def test_zombies_change_nothing(group: Group, place: Pair, tmp_path: Path, say: Say) -> None:
    """A sink is stopped at five points until another has its partitions, one right before an insert is sent."""
    stage = SoakRun(place, tmp_path, group, RATE, 2)
    points = ("sending", "announcing", "stored", "repairing", "announced")
    stopped_at(stage, points)
    say(f"\n{group}: stopped at {', '.join(points)}, {stage.traffic.steps:,} steps: exact\n  {stage.audit.work()}")


@pytest.mark.parametrize("group", PROTOCOLS, ids=str)
def test_sinks_that_come_and_go_change_nothing(group: Group, place: Pair, tmp_path: Path, say: Say) -> None:
    """For three minutes up to three sinks join and leave every few seconds: everything is stored once."""
    stage = SoakRun(place, tmp_path, group, RATE, 3)
    left = coming_and_going(stage, 180.0, 3)
    say(f"\n{group}: {left} departures, {stage.traffic.steps:,} steps: exact\n  {stage.audit.work()}")
    assert left >= 10
