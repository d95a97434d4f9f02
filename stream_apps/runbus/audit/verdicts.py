"""Decides the verdict on each offset of a partition, from its record and its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """The verdict on an offset. Every record below the sink's committed offset has exactly one."""

    STORED = "stored"  #: all of its rows are there, once
    DEAD_LETTER = "dead_letters"  #: no row, but its bytes and the reason are in `dead_letters`
    LOST = "lost"  #: no row; `lost_ranges` says that retention was faster
    IN_FLIGHT = "in_flight"  #: not all of its rows are there, and the committed offset has not passed it
    MISSING = "missing"  #: no row, and no reason
    PARTIAL = "partial"  #: some of its rows
    DOUBLED = "doubled"  #: more rows than it has, or two rows of one step
    FOREIGN = "foreign"  #: rows, but no record that they can be of
    EXPIRED = "expired"  #: rows of an offset that retention has taken from the log
    COMPACTED = "compacted"  #: rows of an offset that compaction has taken from the log
    UNREADABLE = "unreadable"  #: rows of a record whose header this version cannot read
    OTHER_TOPIC = "other_topic"  #: rows of another topic id: an earlier topic of this name, or another prefix


#: The tables do not hold what the log says.
DAMAGE = frozenset({Verdict.MISSING, Verdict.PARTIAL, Verdict.DOUBLED, Verdict.FOREIGN})
#: Rows that cannot be compared with the log any more.
UNCHECKED = frozenset({Verdict.EXPIRED, Verdict.COMPACTED, Verdict.UNREADABLE, Verdict.OTHER_TOPIC})


class ExpectedRows(NamedTuple):
    """The rows that a record must have: `rows` (0 = its header cannot be read), from `first_seq` on.

    A record that is one row counts as a step with seq 0.
    """

    rows: int = 1
    first_seq: int = 0


UNKNOWN = ExpectedRows(0)


class StoredRows(NamedTuple):
    """The rows of one offset: their number, the number of different steps, the first and the last seq."""

    rows: int
    distinct: int = 1
    first_seq: int = 0
    last_seq: int = 0


NO_ROWS = StoredRows(0, 0)


@dataclass(frozen=True, slots=True)
class Facts:
    """What else decides the verdicts of a partition.

    Attributes:
        committed: the sink's committed offset, read before the rows.
        start: first offset of the log, read after the records.
        dead: offsets with a dead letter.
        lost: offset ranges (first, last) of `lost_ranges`.
        compacted: whether compaction may have taken any offset.
    """

    committed: int = 0
    start: int = 0
    dead: AbstractSet[int] = frozenset()
    lost: tuple[tuple[int, int], ...] = ()
    compacted: bool = False


@dataclass(frozen=True, slots=True)
class VerdictRange:
    """Consecutive offsets with one verdict.

    Attributes:
        verdict: of all of them.
        first, last: both included. Offsets without a record (transaction markers, aborted records) may lie between.
        offsets: how many of them the verdict is about.
        expected: rows that their records have; 0 if unknown.
        rows: rows that are there.
        distinct: different steps among those.
    """

    verdict: Verdict
    first: int
    last: int
    offsets: int = 1
    expected: int = 0
    rows: int = 0
    distinct: int = 0

    def joined(self, other: VerdictRange) -> VerdictRange:
        """Return this range and the one behind it as one."""
        return VerdictRange(
            self.verdict,
            self.first,
            other.last,
            self.offsets + other.offsets,
            self.expected + other.expected,
            self.rows + other.rows,
            self.distinct + other.distinct,
        )

    def as_dict(self) -> dict[str, int | str]:
        """Return it by name, as JSON has it."""
        return {
            "verdict": self.verdict.value,
            "first_offset": self.first,
            "last_offset": self.last,
            "offsets": self.offsets,
            "expected_rows": self.expected,
            "rows": self.rows,
            "distinct_rows": self.distinct,
        }


def compare(
    records: Mapping[int, ExpectedRows], found: Mapping[int, StoredRows], facts: Facts
) -> Iterator[VerdictRange]:
    """Yield the verdict on each offset that has a record or a row, in order of offset.

    The committed offset must have been read first, the rows second, the records last (docs/decisions/0004).

    Args:
        records: by offset; those that a reader can read.
        found: rows by offset.
        facts: of the partition.
    """
    for offset in sorted(records.keys() | found.keys()):
        record, rows = records.get(offset), found.get(offset, NO_ROWS)
        verdict = _unrecorded(offset, rows, facts) if record is None else _recorded(offset, record, rows, facts)
        yield VerdictRange(verdict, offset, offset, 1, record.rows if record else 0, rows.rows, rows.distinct)


def _recorded(offset: int, record: ExpectedRows, found: StoredRows, facts: Facts) -> Verdict:
    if not found.rows:
        if offset in facts.dead:
            return Verdict.DEAD_LETTER
        if any(first <= offset <= last for first, last in facts.lost):
            return Verdict.LOST
        return Verdict.IN_FLIGHT if offset >= facts.committed else Verdict.MISSING
    if found.rows > found.distinct:
        return Verdict.DOUBLED
    if record == UNKNOWN:
        return Verdict.UNREADABLE
    if found.rows > record.rows:
        return Verdict.DOUBLED
    if found.first_seq < record.first_seq or found.last_seq >= record.first_seq + record.rows:
        return Verdict.FOREIGN
    if found.rows < record.rows:
        return Verdict.IN_FLIGHT if offset >= facts.committed else Verdict.PARTIAL
    return Verdict.STORED


def _unrecorded(offset: int, found: StoredRows, facts: Facts) -> Verdict:
    """Return the verdict on rows without a record, which may have been deleted; doubled rows are visible anyway."""
    taken = Verdict.EXPIRED if offset < facts.start else Verdict.COMPACTED if facts.compacted else None
    if taken is None:
        return Verdict.FOREIGN
    return Verdict.DOUBLED if found.rows > found.distinct else taken


def merged(ranges: Iterable[VerdictRange]) -> Iterator[VerdictRange]:
    """Join adjacent ranges with the same verdict; holds one range at a time."""
    last: VerdictRange | None = None
    for part in ranges:
        if last is not None and last.verdict == part.verdict:
            last = last.joined(part)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


@dataclass(slots=True)
class VerdictSums:
    """The number of offsets, and of rows, by verdict."""

    offsets: Counter[Verdict] = field(default_factory=Counter)
    rows: Counter[Verdict] = field(default_factory=Counter)

    def add(self, part: VerdictRange) -> None:
        """Count a range."""
        self.offsets[part.verdict] += part.offsets
        self.rows[part.verdict] += part.rows

    @property
    def sound(self) -> bool:
        """Whether the tables hold what the log says, as far as it can be compared."""
        return not any(self.offsets[verdict] for verdict in DAMAGE)

    @property
    def unchecked_rows(self) -> int:
        """Rows that cannot be compared with the log any more."""
        return sum(self.rows[verdict] for verdict in UNCHECKED)

    def as_dict(self) -> dict[str, int]:
        """Return offsets by verdict, as JSON has them, and the unchecked rows."""
        counted = {verdict.value: self.offsets[verdict] for verdict in Verdict if verdict not in UNCHECKED}
        return counted | {"unchecked_rows": self.unchecked_rows}
