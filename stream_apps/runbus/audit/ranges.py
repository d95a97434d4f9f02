"""What became of each offset of a partition: pure, from what the log holds and what ClickHouse holds of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What became of an offset. Every record of the log below the sink's committed offset has exactly one."""

    STORED = "stored"  #: all of its rows are there, once
    DEAD_LETTER = "dead_letters"  #: no row, but its bytes and the reason are in `dead_letters`
    LOST = "lost"  #: no row; `lost_ranges` says that retention was faster
    IN_FLIGHT = "in_flight"  #: not all of its rows are there, and the committed offset has not passed it
    MISSING = "missing"  #: no row, and nothing says why
    PARTIAL = "partial"  #: some of its rows
    DOUBLED = "doubled"  #: more rows than it has, or two rows of one step
    FOREIGN = "foreign"  #: rows, but no record that they can be of
    EXPIRED = "expired"  #: rows of an offset that retention has taken from the log
    COMPACTED = "compacted"  #: rows of an offset that compaction has taken from the log
    UNREADABLE = "unreadable"  #: rows of a record whose header this version cannot read
    OTHER_TOPIC = "other_topic"  #: rows of another topic id: an earlier topic of this name, or another prefix


#: Where the tables do not hold what the log says.
DAMAGE = frozenset({Verdict.MISSING, Verdict.PARTIAL, Verdict.DOUBLED, Verdict.FOREIGN})
#: Rows that nothing can be compared with any more.
UNCHECKED = frozenset({Verdict.EXPIRED, Verdict.COMPACTED, Verdict.UNREADABLE, Verdict.OTHER_TOPIC})


class Expected(NamedTuple):
    """What a record of the log must leave behind: `rows` (0 = its header cannot be read), from `first_seq` on.

    A record that is one row counts as a step with seq 0.
    """

    rows: int = 1
    first_seq: int = 0


UNKNOWN = Expected(0)


class Found(NamedTuple):
    """The rows of one offset: how many, how many different steps they are, the first and the last seq."""

    rows: int
    distinct: int = 1
    first_seq: int = 0
    last_seq: int = 0


NOTHING = Found(0, 0)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a partition besides records and rows.

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
class Range:
    """Consecutive offsets with one verdict.

    Attributes:
        verdict: of all of them.
        first, last: both included. Offsets without a record (transaction markers, aborted records) may lie between.
        offsets: how many of them the verdict is about.
        expected: rows that their records have; 0 where that is unknown.
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

    def joined(self, other: Range) -> Range:
        """Return this range and the one behind it as one."""
        return Range(
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


def judge(records: Mapping[int, Expected], found: Mapping[int, Found], known: Known) -> Iterator[Range]:
    """Return the verdict on each offset of a chunk that has a record or a row, in order of offset.

    The committed offset must have been read first, the rows second, the records last (docs/decisions/0004).

    Args:
        records: those of the log that a reader can read, by offset.
        found: the rows that are there, by offset.
        known: the rest.
    """
    for offset in sorted(records.keys() | found.keys()):
        record, rows = records.get(offset), found.get(offset, NOTHING)
        verdict = _unrecorded(offset, rows, known) if record is None else _recorded(offset, record, rows, known)
        yield Range(verdict, offset, offset, 1, record.rows if record else 0, rows.rows, rows.distinct)


def _recorded(offset: int, record: Expected, found: Found, known: Known) -> Verdict:
    if not found.rows:
        if offset in known.dead:
            return Verdict.DEAD_LETTER
        if any(first <= offset <= last for first, last in known.lost):
            return Verdict.LOST
        return Verdict.IN_FLIGHT if offset >= known.committed else Verdict.MISSING
    if found.rows > found.distinct:
        return Verdict.DOUBLED
    if record == UNKNOWN:
        return Verdict.UNREADABLE
    if found.rows > record.rows:
        return Verdict.DOUBLED
    if found.first_seq < record.first_seq or found.last_seq >= record.first_seq + record.rows:
        return Verdict.FOREIGN
    if found.rows < record.rows:
        return Verdict.IN_FLIGHT if offset >= known.committed else Verdict.PARTIAL
    return Verdict.STORED


def _unrecorded(offset: int, found: Found, known: Known) -> Verdict:
    """A double needs no record to be seen; that a row has no record is only sure where nothing takes records away."""
    taken = Verdict.EXPIRED if offset < known.start else Verdict.COMPACTED if known.compacted else None
    if taken is None:
        return Verdict.FOREIGN
    return Verdict.DOUBLED if found.rows > found.distinct else taken


def merged(ranges: Iterable[Range]) -> Iterator[Range]:
    """Join what follows each other with one verdict; holds one range at a time."""
    last: Range | None = None
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
    """How many offsets, and how many rows, have each verdict."""

    offsets: Counter[Verdict] = field(default_factory=Counter)
    rows: Counter[Verdict] = field(default_factory=Counter)

    def add(self, part: Range) -> None:
        """Count a range."""
        self.offsets[part.verdict] += part.offsets
        self.rows[part.verdict] += part.rows

    @property
    def sound(self) -> bool:
        """Whether the tables hold what the log says, as far as it can be compared."""
        return not any(self.offsets[verdict] for verdict in DAMAGE)

    @property
    def unchecked_rows(self) -> int:
        """Rows that nothing can be compared with any more."""
        return sum(self.rows[verdict] for verdict in UNCHECKED)

    def as_dict(self) -> dict[str, int]:
        """Return offsets by verdict, as JSON has them, and the rows that cannot be checked."""
        counted = {verdict.value: self.offsets[verdict] for verdict in Verdict if verdict not in UNCHECKED}
        return counted | {"unchecked_rows": self.unchecked_rows}
