"""Computes the interval between inserts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.sink.insert_interval import TOGETHER_S, InsertInterval


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.05, 60), st.integers(0, 12))
def test_a_record_waits_at_most_an_interval_and_inserts_are_as_far_apart(
    first: float, since: float, seconds: float, refusals: int
) -> None:
    """Whatever came before: due within the interval, and an interval after the last insert if that is sooner."""
    insert_interval = InsertInterval(seconds, most=120.0)
    for _ in range(refusals):
        insert_interval.refused()
    interval = seconds * insert_interval.stretch
    due = insert_interval.due(first, first - since)
    assert first <= due <= first + interval + 1e-6
    assert due >= min(first + interval, first - since + interval) - 1e-6
    if since > interval:
        assert due <= first + TOGETHER_S + 1e-6


def test_too_many_parts_stretch_the_interval_and_quiet_brings_it_back() -> None:
    """It doubles up to its limit, and fades; it never gets shorter than it was set."""
    insert_interval = InsertInterval(seconds=1.0, most=10.0)
    intervals = []
    for _ in range(6):
        insert_interval.refused()
        intervals.append(insert_interval.seconds * insert_interval.stretch)
    assert intervals == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    for _ in range(30):
        insert_interval.accepted()
    assert insert_interval.stretch == 1.0


def test_a_limit_below_the_interval_changes_nothing() -> None:
    """RUNBUS_SINK_RANGE_SECONDS_MAX under RUNBUS_SINK_RANGE_SECONDS means: no stretching."""
    insert_interval = InsertInterval(seconds=5.0, most=1.0)
    insert_interval.refused()
    assert insert_interval.due(0.0, 0.0) == pytest.approx(5.0)
