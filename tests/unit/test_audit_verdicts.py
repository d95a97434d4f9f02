"""The verdict on every offset: for any log, any store and any damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.audit.verdicts import (
    UNKNOWN,
    ExpectedRows,
    Facts,
    StoredRows,
    Verdict,
    VerdictRange,
    VerdictSums,
    compare,
    merged,
)

RECORD = ExpectedRows(10, 100)
WHOLE = StoredRows(10, 10, 100, 109)


@pytest.mark.parametrize(
    ("record", "found", "verdict"),
    [
        pytest.param(RECORD, WHOLE, Verdict.STORED, id="every step once"),
        pytest.param(RECORD, None, Verdict.MISSING, id="no row"),
        pytest.param(RECORD, StoredRows(9, 9, 100, 109), Verdict.PARTIAL, id="a hole"),
        pytest.param(RECORD, StoredRows(9, 9, 100, 108), Verdict.PARTIAL, id="cut short"),
        pytest.param(RECORD, StoredRows(20, 10, 100, 109), Verdict.DOUBLED, id="twice"),
        pytest.param(RECORD, StoredRows(10, 9, 100, 109), Verdict.DOUBLED, id="one twice and one missing"),
        pytest.param(RECORD, StoredRows(11, 11, 100, 110), Verdict.DOUBLED, id="one too many"),
        pytest.param(RECORD, StoredRows(10, 10, 101, 110), Verdict.FOREIGN, id="another step"),
        pytest.param(RECORD, StoredRows(3, 3, 98, 100), Verdict.FOREIGN, id="a step before the first"),
        pytest.param(None, StoredRows(1), Verdict.FOREIGN, id="no record"),
        pytest.param(UNKNOWN, WHOLE, Verdict.UNREADABLE, id="a header that nobody here can read"),
        pytest.param(UNKNOWN, StoredRows(20, 10, 100, 109), Verdict.DOUBLED, id="twice, whatever the header says"),
        pytest.param(UNKNOWN, None, Verdict.MISSING, id="neither readable nor stored"),
        pytest.param(ExpectedRows(), StoredRows(1), Verdict.STORED, id="a record that is one row"),
        pytest.param(ExpectedRows(), StoredRows(2), Verdict.DOUBLED, id="the same, twice"),
    ],
)
def test_a_record_below_the_committed_offset(
    record: ExpectedRows | None, found: StoredRows | None, verdict: Verdict
) -> None:
    """Each way a record and its rows can differ has one name."""
    assert verdict_on(record, found, Facts(committed=8)) == verdict


@pytest.mark.parametrize(
    ("record", "found", "facts", "verdict"),
    [
        pytest.param(RECORD, None, Facts(committed=7), Verdict.IN_FLIGHT, id="not stored yet"),
        pytest.param(
            RECORD, StoredRows(9, 9, 100, 108), Facts(committed=7), Verdict.IN_FLIGHT, id="stored in part yet"
        ),
        pytest.param(RECORD, WHOLE, Facts(committed=7), Verdict.STORED, id="stored before the commit"),
        pytest.param(RECORD, StoredRows(20, 10, 100, 109), Facts(committed=7), Verdict.DOUBLED, id="a double is one"),
        pytest.param(None, StoredRows(1), Facts(committed=7), Verdict.FOREIGN, id="and so is a foreign row"),
        pytest.param(RECORD, None, Facts(8, dead={7}), Verdict.DEAD_LETTER, id="dead letter"),
        pytest.param(UNKNOWN, None, Facts(8, dead={7}), Verdict.DEAD_LETTER, id="dead letter without a header"),
        pytest.param(RECORD, None, Facts(7, dead={7}), Verdict.DEAD_LETTER, id="dead letter before the commit"),
        pytest.param(RECORD, WHOLE, Facts(8, dead={7}), Verdict.STORED, id="dead letter, stored by a retry"),
        pytest.param(RECORD, StoredRows(4, 4, 100, 103), Facts(8, dead={7}), Verdict.PARTIAL, id="by half a retry"),
        pytest.param(RECORD, None, Facts(8, dead={6, 8}), Verdict.MISSING, id="others are dead letters"),
        pytest.param(RECORD, None, Facts(8, lost=((3, 7),)), Verdict.LOST, id="lost, and said so"),
        pytest.param(RECORD, None, Facts(8, lost=((3, 6), (8, 9))), Verdict.MISSING, id="others are lost"),
        pytest.param(None, StoredRows(1), Facts(8, start=8), Verdict.EXPIRED, id="retention took the record"),
        pytest.param(None, StoredRows(1), Facts(8, start=7), Verdict.FOREIGN, id="retention did not take it"),
        pytest.param(None, StoredRows(1), Facts(8, compacted=True), Verdict.COMPACTED, id="compaction took the record"),
        pytest.param(None, StoredRows(2), Facts(8, compacted=True), Verdict.DOUBLED, id="it was stored twice before"),
    ],
)
def test_what_else_is_known_of_an_offset(
    record: ExpectedRows | None, found: StoredRows | None, facts: Facts, verdict: Verdict
) -> None:
    """The cursor, dead letters, lost ranges, retention and compaction each change what absence means."""
    assert verdict_on(record, found, facts) == verdict


def verdict_on(record: ExpectedRows | None, found: StoredRows | None, facts: Facts) -> Verdict:
    """Return the verdict on offset 7."""
    (judged,) = compare({} if record is None else {7: record}, {} if found is None else {7: found}, facts)
    assert (judged.first, judged.last, judged.offsets) == (7, 7, 1)
    return judged.verdict


@dataclass
class RangeSetup:
    """A partition, its rows (seqs by offset), and the truth about each offset that has a record or rows."""

    records: dict[int, ExpectedRows] = field(default_factory=dict)
    rows: dict[int, list[int]] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    truth: dict[int, Verdict] = field(default_factory=dict)

    @property
    def found(self) -> dict[int, StoredRows]:
        """The rows as ClickHouse would sum them up."""
        return {o: StoredRows(len(seqs), len(set(seqs)), min(seqs), max(seqs)) for o, seqs in self.rows.items() if seqs}

    def expected_ranges(self) -> list[tuple[Verdict, int, int, int]]:
        """Return (verdict, first, last, offsets) by the truth alone."""
        ranges: list[tuple[Verdict, int, int, int]] = []
        for offset, verdict in sorted(self.truth.items()):
            if ranges and ranges[-1][0] == verdict:
                _, first, _, offsets = ranges[-1]
                ranges[-1] = (verdict, first, offset, offsets + 1)
            else:
                ranges.append((verdict, offset, offset, 1))
        return ranges


def _delete_all(setup: RangeSetup, offset: int) -> Verdict:
    setup.rows[offset] = []
    return Verdict.MISSING


def _delete_one(setup: RangeSetup, offset: int) -> Verdict:
    seqs = setup.rows[offset]
    seqs.pop(len(seqs) // 2)
    return Verdict.PARTIAL if seqs else Verdict.MISSING


def _store_again(setup: RangeSetup, offset: int) -> Verdict:
    setup.rows[offset] *= 2
    return Verdict.DOUBLED


def _replace_one(setup: RangeSetup, offset: int) -> Verdict:
    seqs = setup.rows[offset]
    seqs[0] = seqs[-1]
    return Verdict.DOUBLED if len(seqs) > 1 else Verdict.STORED


def _move_one(setup: RangeSetup, offset: int) -> Verdict:
    seqs = setup.rows[offset]
    seqs[-1] += 1
    return Verdict.FOREIGN


def _dead_letter(setup: RangeSetup, offset: int) -> Verdict:
    setup.rows[offset] = []
    setup.dead.add(offset)
    return Verdict.DEAD_LETTER


def _retry(setup: RangeSetup, offset: int) -> Verdict:
    setup.dead.add(offset)
    return Verdict.STORED


def _lose(setup: RangeSetup, offset: int) -> Verdict:
    setup.rows[offset] = []
    setup.lost.add(offset)
    return Verdict.LOST


def _nothing(_setup: RangeSetup, _offset: int) -> Verdict:
    return Verdict.STORED


FATES: tuple[Callable[[RangeSetup, int], Verdict], ...] = (
    _nothing, _delete_all, _delete_one, _store_again, _replace_one, _move_one, _dead_letter, _retry, _lose,
)  # fmt: skip
ABOVE: Mapping[Verdict, Verdict] = {Verdict.MISSING: Verdict.IN_FLIGHT, Verdict.PARTIAL: Verdict.IN_FLIGHT}


@st.composite
def damaged_logs(draw: st.DrawFn) -> tuple[RangeSetup, int]:
    """Draw a log of records and markers, its rows, what was done to them, and a committed offset."""
    setup, seq = RangeSetup(), 0
    places = draw(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(FATES), st.booleans()), max_size=40))
    committed = draw(st.integers(0, len(places)))
    for offset, (count, fate, foreign) in enumerate(places):
        if not count:  # a marker or an aborted record
            if foreign:
                setup.rows[offset] = [seq]
                setup.truth[offset] = Verdict.FOREIGN
            continue
        setup.records[offset] = ExpectedRows(count, seq)
        setup.rows[offset] = list(range(seq, seq + count))
        seq += count
        verdict = fate(setup, offset)
        setup.truth[offset] = ABOVE.get(verdict, verdict) if offset >= committed else verdict
    return setup, committed


def pieces(setup: RangeSetup, facts: Facts, size: int) -> Iterable[VerdictRange]:
    """Yield the verdicts as the sweep asks for them: piece by piece."""
    end = max([*setup.records, *setup.rows, -1]) + 1
    found = setup.found
    for first in range(0, end, size):
        inside = range(first, first + size)
        records = {o: r for o, r in setup.records.items() if o in inside}
        lost = tuple((o, o) for o in sorted(setup.lost) if o in inside)
        yield from compare(records, {o: f for o, f in found.items() if o in inside}, replace(facts, lost=lost))


@given(drawn=damaged_logs(), size=st.integers(1, 50))
def test_every_damage_is_named_with_its_exact_ranges_and_nothing_else(drawn: tuple[RangeSetup, int], size: int) -> None:
    """Whatever was deleted, doubled, moved, set aside or lost, and however the log is cut: the ranges are the truth."""
    setup, committed = drawn
    ranges = list(merged(pieces(setup, Facts(committed, dead=setup.dead), size)))
    assert [(r.verdict, r.first, r.last, r.offsets) for r in ranges] == setup.expected_ranges()
    assert sum(r.expected for r in ranges) == sum(r.rows for r in setup.records.values())
    assert sum(r.rows for r in ranges) == sum(map(len, setup.rows.values()))
    assert sum(r.distinct for r in ranges) == sum(len(set(seqs)) for seqs in setup.rows.values())


@given(drawn=damaged_logs())
def test_each_record_has_one_verdict(drawn: tuple[RangeSetup, int]) -> None:
    """The sums of a partition count every record once, and are sound exactly where nothing is damaged."""
    setup, committed = drawn
    sums = VerdictSums()
    for part in pieces(setup, Facts(committed, dead=setup.dead), 7):
        sums.add(part)
    assert sum(sums.offsets.values()) == len(setup.truth)
    damage = {Verdict.MISSING, Verdict.PARTIAL, Verdict.DOUBLED, Verdict.FOREIGN}
    assert sums.sound == damage.isdisjoint(setup.truth.values())
    assert sums.unchecked_rows == 0


def test_what_cannot_be_checked_is_counted_in_rows_and_is_no_damage() -> None:
    """Rows that are older than the log, of another topic, or of an unknown schema make no audit fail."""
    sums = VerdictSums()
    for verdict in (Verdict.EXPIRED, Verdict.COMPACTED, Verdict.UNREADABLE, Verdict.OTHER_TOPIC):
        sums.add(VerdictRange(verdict, 0, 9, offsets=0, rows=100))
    assert sums.sound
    assert sums.as_dict() == {
        "stored": 0, "dead_letters": 0, "lost": 0, "in_flight": 0, "missing": 0, "partial": 0, "doubled": 0,
        "foreign": 0, "unchecked_rows": 400,
    }  # fmt: skip
