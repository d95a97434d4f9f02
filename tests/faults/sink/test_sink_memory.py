"""A sink's memory stays where it is: over ten minutes, and while ClickHouse takes nothing."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.sink.mortal import pair
from tests.faults.sink.resident import MIB, watched
from tests.faults.sink.soak import Group, SoakRun
from tests.faults.sink.traffic import Rate
from tests.faults.stream_workers import PARTITIONS
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(1500)]

SECONDS, WARM_UP_S = 600.0, 120.0
SLOPE_MIB = 0.5  # a minute; a kilobyte a record that stays would be seven times as much
RANGE_MIB, READ_AHEAD_MIB, FETCH_MIB = 8, 8, 1
BESIDE = 1.5  # what values cost with their objects, the client's notes of them and the gaps between them
STEADY = Rate(5_000.0)
Say = Callable[[str], None]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[SoakRun]:
    """Yield a broker and an engine, steps flowing."""
    with pair(tmp_path) as place, SoakRun(place, tmp_path, Group("consumer"), STEADY, 1) as stage:
        stage.sinks.env |= {"RUNBUS_SINK_RANGE_STEPS": "1000000", "RUNBUS_SINK_RANGE_MB": str(RANGE_MIB)}
        yield stage


def test_it_is_flat_over_ten_minutes(stage: SoakRun, say: Say) -> None:
    """At a steady rate its resident memory has no slope after two minutes of warm-up."""
    sink = stage.start("sink")
    stage.moves()
    with watched(sink.pid) as resident:
        until("ten minutes", lambda: resident.seconds > SECONDS, SECONDS + 60)
        slope, size = resident.slope(WARM_UP_S) / MIB, resident.now() / MIB
    stage.finish(0, [sink])
    say(f"\nmemory: {size:.0f} MiB after {SECONDS:.0f} s and {stage.traffic.steps:,} steps, {slope:+.2f} MiB a minute")
    assert slope < SLOPE_MIB


def test_full_backlogs_have_their_bound(stage: SoakRun, say: Say) -> None:
    """While ClickHouse hangs and the log grows by more than fits, the sink holds what docs/sink.md says, no more."""
    sink, engine = stage.start("sink"), stage.place.engine
    stage.moves()
    with watched(sink.pid) as resident:
        resident.settles(15.0)
        base = resident.now()
        begun, wanted = stage.traffic.steps, 5_000_000  # some 60 bytes each
        stage.traffic.hurry(wanted)
        until("full ranges are under way", lambda: stage.traffic.steps >= begun + wanted // 5, 600.0)
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            until("the log has grown", lambda: stage.traffic.steps >= begun + wanted, 600.0)
            resident.settles(15.0)
            held = resident.now()
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        stage.traffic.finish()
        stage.audit.wait()
        peak = resident.peak()
    stage.finish(0, [sink])
    values = PARTITIONS * (2 * RANGE_MIB + FETCH_MIB) + READ_AHEAD_MIB
    say(
        f"\nmemory: {base / MIB:.0f} MiB at a steady rate, {held / MIB:.0f} with full backlogs, {peak / MIB:.0f} at "
        f"most; bound: {base / MIB:.0f} + {BESIDE} x {values} of values"
    )
    assert held > base + PARTITIONS * RANGE_MIB * MIB, "the backlogs were not full: this test shows nothing"
    assert peak <= base + BESIDE * values * MIB
