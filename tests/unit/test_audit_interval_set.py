"""Numbers in runs, against a plain set."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runbus.audit.interval_set import IntervalSet

spans = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(st.tuples(st.booleans(), spans), max_size=30))
def test_it_holds_what_a_set_would_hold(changes: list[tuple[bool, tuple[int, int]]]) -> None:
    """After any additions and removals the numbers are those of a set, and no two ranges touch."""
    found, reference = IntervalSet(), set[int]()
    for adds, (first, last) in changes:
        numbers = set(range(first, last + 1))
        if adds:
            found.add(first, last)
            reference |= numbers
        else:
            found.remove(first, last)
            reference -= numbers
        ranges = list(found)
        assert {n for lo, hi in ranges for n in range(lo, hi + 1)} == reference
        assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))
        assert found.count == len(reference)
