"""Ranges: cut by steps, bytes, age and number of schemas; a pending one exactly where it was announced."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.codec import Fingerprint, split
from runbus.sink.api import FramedRecord, OffsetRange
from runbus.sink.ranges import MAX_SCHEMAS, Backlog, RangeLimits
from runbus.sink.records import peek_count, read

MakeValue = Callable[..., bytes]
A, B = Fingerprint(b"a" * 8), Fingerprint(b"b" * 8)


def record(offset: int, steps: int = 1, ref: Fingerprint | None = A, size: int = 0) -> FramedRecord:
    """Return a record that counts as `steps`."""
    return FramedRecord(offset, None, bytes(size), 0, size, ref, 0, steps)


def bounds(span: OffsetRange | None) -> tuple[int, int] | None:
    """Return (lo, hi) of a range."""
    return None if span is None else (span.lo, span.hi)


def test_count_is_read_without_decoding(make_value: MakeValue) -> None:
    """The number of steps of a value comes from its header."""
    assert read(3, None, make_value(500, 77), 0, batched=True).steps == 77


@given(st.binary(max_size=40))
def test_count_of_garbage_is_a_number(value: bytes) -> None:
    """Whatever the bytes are, the estimate is within bounds and nothing raises."""
    assert 1 <= peek_count(value, 0) <= 1_000_000


@pytest.mark.parametrize("start", [b"", b"\x02r\x02a", b"\x02r\x02a\x02\x02"])
def test_count_of_an_endless_number_is_found_at_once(start: bytes) -> None:
    """Four megabytes of a number without an end: ten bytes of it are looked at, and the estimate is 1."""
    value = start + b"\xff" * 4 * 2**20
    began = time.process_time()
    assert peek_count(value, 0) == 1
    assert time.process_time() - began < 0.1


@given(st.one_of(st.none(), st.binary(max_size=40), st.binary(max_size=40).map(lambda rest: b"\xc3\x01" + rest)))
def test_any_value_is_a_record(value: bytes | None) -> None:
    """A record of the log never raises: what its framing says, or no schema; its body starts within it."""
    found = read(7, b"key", value, 1, batched=True)
    assert (found.offset, found.key, found.value) == (7, b"key", value)
    assert found.size >= len(value or b"") + 3
    assert 1 <= found.steps <= 1_000_000
    try:
        assert (found.ref, found.start) == split(value)
    except InvalidValue:
        assert (found.ref, found.start) == (None, 0)


def test_an_unframed_value_has_no_schema() -> None:
    """Null, empty and unframed values are kept for the dead letters."""
    assert [read(0, None, value, 0, batched=True).ref for value in (None, b"", b"hello")] == [None, None, None]


def test_a_range_closes_before_it_has_too_many_steps() -> None:
    """The limit is the most that one insert has, unless a single record is larger."""
    backlog = Backlog(RangeLimits(steps=10, bytes=10**6, seconds=60), 0)
    for offset, steps in enumerate((4, 4, 4, 50, 1)):
        backlog.add(record(offset, steps), 0.0)
    assert [bounds(backlog.take(0.0)) for _ in range(4)] == [(0, 1), (2, 2), (3, 3), None]


def test_a_range_closes_before_it_has_too_many_bytes() -> None:
    """Bytes bound the memory of a partition."""
    backlog = Backlog(RangeLimits(steps=10**6, bytes=1000, seconds=60), 0)
    for offset in range(3):
        backlog.add(record(offset, size=600), 0.0)
    assert bounds(backlog.take(0.0)) == (0, 0)
    assert backlog.bytes == 2 * 600


def test_a_record_waits_no_longer_than_the_interval() -> None:
    """A busy partition makes a range an interval; the first record after a pause goes at once, with its neighbours."""
    backlog = Backlog(RangeLimits(seconds=1.0), 0)
    backlog.add(record(0), 10.0)
    backlog.add(record(1), 10.02)
    assert backlog.take(10.04) is None
    assert bounds(backlog.take(10.05)) == (0, 1)
    assert backlog.due() is None
    backlog.add(record(2), 10.1)
    backlog.add(record(3), 10.9)
    assert backlog.take(11.04) is None
    assert backlog.due() == 11.05
    assert bounds(backlog.take(11.05)) == (2, 3)
    backlog.add(record(4), 13.0)
    assert backlog.due() == 13.05


def test_schemas_that_write_by_turns_share_a_range() -> None:
    """Another schema begins no other range: one commit, and an insert for each of the two."""
    backlog = Backlog(RangeLimits(seconds=1.0), 0)
    for offset, ref in enumerate((None, A, B, A, None, B)):
        backlog.add(record(offset, ref=ref), 0.0)
    assert backlog.take(0.0) is None
    assert bounds(backlog.take(1.0)) == (0, 5)


def test_a_range_closes_before_it_has_too_many_schemas() -> None:
    """Each is an insert behind one intent, so their number is bounded; an unframed value is of none."""
    refs = [Fingerprint(bytes([n]) * 8) for n in range(MAX_SCHEMAS + 1)]
    backlog = Backlog(RangeLimits(seconds=1.0), 0)
    for offset, ref in enumerate((*refs[:-1], None, refs[0], refs[-1], refs[0])):
        backlog.add(record(offset, ref=ref), 0.0)
    assert bounds(backlog.take(0.0)) == (0, MAX_SCHEMAS + 1)
    assert bounds(backlog.take(0.0)) is None
    assert bounds(backlog.take(5.0)) == (MAX_SCHEMAS + 2, MAX_SCHEMAS + 3)


def test_a_pending_range_ends_where_it_was_announced() -> None:
    """No limit and no schema cuts a range that an earlier owner announced."""
    backlog = Backlog(RangeLimits(steps=2, bytes=10, seconds=0.01), 5, pending=8)
    for offset, ref in ((5, A), (6, B), (7, A)):
        backlog.add(record(offset, 9, ref), 0.0)
    assert backlog.take(99.0) is None
    backlog.add(record(8, 9), 0.0)
    backlog.add(record(9, 1), 0.0)
    assert bounds(backlog.take(0.0)) == (5, 8)
    assert bounds(backlog.take(1.0)) == (9, 9)


def test_a_pending_range_whose_end_was_compacted_away_is_complete_at_the_next_record() -> None:
    """A record behind `hi` shows that everything up to it was read."""
    backlog = Backlog(RangeLimits(), 5, pending=8)
    backlog.add(record(6), 0.0)
    assert backlog.take(0.0) is None
    backlog.add(record(20), 0.0)
    span = backlog.take(0.0)
    assert span is not None
    assert (span.lo, span.hi, [r.offset for r in span.records]) == (5, 8, [6])


def test_a_pending_range_that_is_all_gone_is_empty() -> None:
    """Compaction may leave nothing of it; the range is still the range."""
    backlog = Backlog(RangeLimits(), 5, pending=8)
    backlog.add(record(9), 0.0)
    span = backlog.take(0.0)
    assert span is not None
    assert (span.lo, span.hi, span.records) == (5, 8, ())


def test_a_record_that_is_read_again_is_not_kept_again() -> None:
    """What a resume or a seek delivers twice counts once."""
    backlog = Backlog(RangeLimits(), 5)
    assert [backlog.add(record(o), 0.0) for o in (4, 5, 5, 6, 5)] == [False, True, False, True, False]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6), st.booleans()), max_size=40), st.data())
def test_ranges_are_contiguous_and_keep_every_record(rows: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    """Whatever the limits and gaps, ranges join without a hole and hold each record once."""
    backlog = Backlog(RangeLimits(steps=10, bytes=10**6, seconds=1), 0)
    offset, kept, taken, lo = -1, [], [], 0
    for gap, steps, other in rows:
        offset += gap
        kept.append(offset)
        backlog.add(record(offset, steps, B if other else A), 0.0)
        if data.draw(st.booleans()) and (span := backlog.take(data.draw(st.sampled_from((0.0, 2.0))))):
            assert span.lo == lo
            lo = span.hi + 1
            taken += [r.offset for r in span.records]
    while span := backlog.take(5.0):
        assert span.lo == lo
        assert span.steps <= 10
        lo = span.hi + 1
        taken += [r.offset for r in span.records]
    assert taken == kept
    assert backlog.bytes == 0
