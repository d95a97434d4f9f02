"""When a stream is told about: at most once in an interval, with its newest batch where that is about to come."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from runbus.kafka.model import StreamId
from runbus.live_metrics import LiveMetricsCore
from runbus.live_metrics.core import INTERVAL_MS
from tests.unit.live_metrics.rows import SOURCE, Caller, Row, batch

TURN_MS = 7  # the engine's loop turns as often as something is read
PATIENCE_MS = INTERVAL_MS // 5


def told(gaps_ms: list[int]) -> list[tuple[int, int]]:
    """Let a stream send a step after each gap; return when it was told about, and how old the newest step was then."""
    caller, now, came, found = Caller(), 0, 0, list[tuple[int, int]]()
    for number, gap in enumerate(gaps_ms):
        while now + TURN_MS < came + gap:
            now += TURN_MS
            found += [(now, now - came) for _ in caller.backlog(TURN_MS)]
        step, came = came + gap - now, came + gap
        events = caller.backlog(step)
        now = came
        found += [(now, 0) for _ in (*events, *caller.rows([Row(1)], number))]
    while now < came + 2 * INTERVAL_MS:
        now += TURN_MS
        found += [(now, now - came) for _ in caller.backlog(TURN_MS)]
    return found


@pytest.mark.parametrize("gap", [40, 50, 51, 60, 75, 90])
def test_a_steady_stream_is_told_about_with_its_newest_batch(gap: int) -> None:
    """Batches at a steady rate, milliseconds early or late: an event waits for the one that is about to come."""
    dice = random.Random(gap)
    found = told([gap + dice.randint(-8, 8) for _ in range(400)])[2:-1]
    spacing = [after - before for (before, _), (after, _) in pairwise(found)]
    assert min(spacing) >= INTERVAL_MS
    assert max(spacing) <= INTERVAL_MS + PATIENCE_MS + TURN_MS
    ages = sorted(age for _, age in found)
    assert ages[len(ages) // 2] <= gap / 4
    assert sum(ages) / len(ages) < gap / 2, "no better than at any moment"


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_without_a_rhythm_is_not_held_up_for_long(seed: int) -> None:
    """Nothing that came waits longer than the interval, a fifth of it, and a turn of the loop."""
    dice = random.Random(seed)
    gaps = [round(dice.expovariate(1 / 60)) for _ in range(400)]
    found = told(gaps)
    times, came = [at for at, _ in found], 0
    for gap in gaps:
        came += gap
        first = next(at for at in times if at >= came)
        assert first - came <= INTERVAL_MS + PATIENCE_MS + TURN_MS
    assert min(after - before for before, after in pairwise(times)) >= INTERVAL_MS


def test_a_stream_that_stops_is_told_about_in_full() -> None:
    """The batch that was expected does not come: what is there is told a fifth of the interval later."""
    found = told([50] * 12)
    assert found[-1][0] <= 12 * 50 + INTERVAL_MS + PATIENCE_MS


def test_after_a_restart_the_streams_are_told_about_in_parts() -> None:
    """Thousands that are due at once neither hold up the loop nor overflow what is to be sent; each is told once."""
    caller = Caller()
    for number in range(1234):
        caller.send(batch([Row(1)], 0, stream=StreamId("run", f"agent-{number}", 1)))
    caller.restart()
    parts = [caller.backlog(1) for _ in range(5)]
    assert [len(part) for part in parts] == [500, 500, 234, 0, 0]
    assert len({event.agent_id for part in parts for event in part}) == 1234
    assert isinstance(caller.core, LiveMetricsCore)
    assert SOURCE in parts[0][0].positions
