"""Which steps of a stream have arrived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.schemas.sequence import MAX_GAPS, SequenceTracker


def test_batches_in_order_are_new_as_a_whole() -> None:
    """The common case needs no mask."""
    received = SequenceTracker()
    assert received.take(0, 4) == (None, 0, 0)
    assert received.take(4, 4) == (None, 0, 0)
    assert (received.next_seq, received.gaps) == (8, [])


def test_a_batch_that_was_sent_again_has_no_fresh_row() -> None:
    """A producer's re-send is recognised row by row."""
    received = SequenceTracker()
    received.take(0, 4)
    fresh, duplicates, late = received.take(0, 4)
    assert fresh is not None
    assert not fresh.any()
    assert (duplicates, late) == (4, 0)


def test_a_jump_leaves_a_gap_that_late_rows_fill() -> None:
    """Rows below next_seq that had not arrived are late, those around them duplicates."""
    received = SequenceTracker()
    received.take(0, 2)
    received.take(10, 2)
    assert received.gaps == [(2, 9)]
    assert received.take(4, 2) == (None, 0, 2)
    assert received.gaps == [(2, 3), (6, 9)]
    fresh, duplicates, late = received.take(1, 12)
    assert fresh is not None
    assert np.flatnonzero(fresh).tolist() == [1, 2, 5, 6, 7, 8, 11]
    assert (duplicates, late) == (5, 6)
    assert (received.next_seq, received.gaps) == (13, [])


def test_the_oldest_gaps_are_given_up_and_counted() -> None:
    """State is bounded: what belongs to a forgotten gap is a duplicate from then on."""
    received = SequenceTracker()
    for index in range(MAX_GAPS + 2):
        received.take(3 * index + 2, 1)
    assert (len(received.gaps), received.given_up) == (MAX_GAPS, 4)
    assert received.take(0, 2)[1:] == (2, 0)


@pytest.mark.parametrize("data", [b"", b"\x02" + bytes(18), SequenceTracker(5, [(1, 2)]).encode()[:-1]])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    """What `encode` did not write is an error, never a wrong state."""
    with pytest.raises(ValueError, match="no state of a sequence"):
        SequenceTracker.decode(data)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=30))
def test_it_equals_a_set_of_seqs(batches: list[tuple[int, int]]) -> None:
    """Whatever arrives in whatever order, it agrees with a set; its bytes carry all of it."""
    received, seen = SequenceTracker(), set[int]()
    for first, count in batches:
        before = max(seen, default=-1) + 1
        rows = range(first, first + count)
        expected = [row not in seen for row in rows]
        fresh, duplicates, late = received.take(first, count)
        assert (fresh.tolist() if fresh is not None else [True] * count) == expected
        assert duplicates == expected.count(False)
        assert late == sum(row < before for row in rows if row not in seen)
        seen |= set(rows)
        missing = [seq for low, high in received.gaps for seq in range(low, high + 1)]
        assert missing == sorted(set(range(received.next_seq)) - seen)
        received = SequenceTracker.decode(received.encode())
