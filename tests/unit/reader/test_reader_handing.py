"""Events out of the buffer: each once, whatever interrupts the call that takes it."""

from __future__ import annotations

import gc
import random
import signal
from types import FrameType

import pytest

from runbus.reader.buffer import Buffer, Chunk, Item
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.errors import UnreadableRecord
from runbus.reader.events import At, LogEvent, RecordsDeleted, Unreadable
from runbus.reader.handing import Handing
from runbus.reader.plan import OnUnreadable
from runbus.reader.sequences import Sequences
from runbus.reader.start import Seq, Start
from runbus.reader.steps import Steps
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.codec import Codec, Registry
from runbus.schemas.errors import RegistryUnavailable
from tests.integration.reader.log import batch
from tests.unit.reader.fakes import PLACE, FakeRecord, framed, plan


class Scene:
    """A buffer that is filled by hand, and what takes out of it."""

    def __init__(
        self, on_unreadable: OnUnreadable = "event", start: Start = "beginning", registry: Registry | None = None
    ) -> None:
        self.cursor = PartitionCursor(PLACE, Handed(0), 0, Sequences(whole=not isinstance(start, Seq)))
        self.buffer = Buffer(2**20)
        self.handing = Handing(self.buffer, plan().selection, Codec(registry), on_unreadable, start)
        self._offset = 0

    def put(self, *values: bytes, passed: int | None = None) -> None:
        """Put records with these values into the buffer, as one chunk."""
        chunk = Chunk()
        for value in values:
            chunk.add(self.cursor, FakeRecord(self._offset, value))
            self._offset += 1
        if passed is not None:
            chunk.passed = {self.cursor: passed}
            self._offset = passed
        self.buffer.put(chunk)

    def all(self) -> list[LogEvent]:
        """Return every event that waits."""
        return list(iter(self.handing.next, None))


def seqs(events: list[LogEvent]) -> list[int]:
    """Return the seqs of Steps."""
    return [seq for event in events if isinstance(event, Steps) for seq in event.seq.tolist()]


def test_events_come_in_order_and_the_position_follows_them() -> None:
    """What was returned is passed; what is of no interest behind it is passed once it is settled."""
    scene = Scene()
    scene.put(framed(batch(0)), framed(batch(4)), passed=9)
    assert seqs([event for event in [scene.handing.next()] if event]) == [0, 1, 2, 3]
    scene.handing.settle()
    assert scene.cursor.position == 1
    assert seqs([event for event in [scene.handing.next()] if event]) == [4, 5, 6, 7]
    assert scene.cursor.position == 2
    scene.handing.settle()
    assert (scene.cursor.position, scene.buffer.size, scene.buffer.empty) == (9, 0, True)


def test_what_is_passed_without_an_event_moves_the_position() -> None:
    """A commit of a reader that got nothing of a long stretch covers the stretch."""
    scene = Scene()
    scene.put(passed=50)
    scene.handing.settle()
    assert scene.cursor.position == 50


def test_what_another_member_has_now_is_not_handed_out() -> None:
    """Its records are dropped here: the other one hands them out."""
    scene = Scene()
    scene.put(framed(batch(0)), framed(batch(4)))
    assert scene.handing.next() is not None
    scene.cursor.lost = True
    assert scene.handing.next() is None
    assert scene.buffer.empty


def test_a_batch_that_fills_several_gaps_is_several_events_and_one_record() -> None:
    """The position passes it with its last event; a restart in between would hand out all of it again."""
    scene = Scene()
    scene.put(*(framed(batch(first)) for first in (0, 6, 12)), framed(batch(2, 12)))
    events = scene.all()
    assert [(e.first_seq, e.last_seq) for e in events if isinstance(e, Steps)] == [
        (0, 3),
        (6, 9),
        (12, 15),
        (4, 5),
        (10, 11),
    ]
    assert scene.handing.counts.repeated == 8
    again = Scene()
    again.put(*(framed(batch(first)) for first in (0, 6, 12)), framed(batch(2, 12)))
    for _ in range(4):
        again.handing.next()
    assert (again.cursor.position, again.cursor.handed.pieces) == (3, 1)


@pytest.mark.parametrize("policy", ["event", "raise", "skip"])
def test_a_value_that_is_none_is_told_by_the_policy_and_passed(policy: OnUnreadable) -> None:
    """It is told once, and what is behind it comes."""
    scene = Scene(policy)
    scene.put(b"junk", framed(batch(0)))
    if policy == "raise":
        with pytest.raises(UnreadableRecord, match=r"runbus\.steps:0:0: neither Avro"):
            scene.handing.next()
        assert scene.cursor.position == 1
    elif policy == "event":
        assert isinstance(scene.handing.next(), Unreadable)
    assert seqs(scene.all()) == [0, 1, 2, 3]
    assert scene.handing.counts.unreadable == 1


class Away:
    """A registry that does not answer at first."""

    def __init__(self) -> None:
        self.answers = False

    def schema(self, _: int) -> AvroSchema:
        """Return the schema of steps once it answers."""
        if not self.answers:
            raise RegistryUnavailable("no schema registry answers")
        return schema("StepBatch")


def test_a_registry_that_is_away_passes_nothing_over() -> None:
    """The same record comes once the registry answers."""
    registry = Away()
    scene = Scene(registry=registry)  # type: ignore[arg-type]  # a part of one
    scene.put(b"\x00\x00\x00\x00\x07" + framed(batch(0))[10:])
    for _ in range(2):
        with pytest.raises(RegistryUnavailable):
            scene.handing.next()
    assert scene.cursor.position == 0
    registry.answers = True
    assert seqs(scene.all()) == [0, 1, 2, 3]


def test_a_start_at_a_step_begins_with_it() -> None:
    """Nothing before it comes, what follows does, and nothing is called a gap or a repeat."""
    scene = Scene(start=Seq(6, batch(0).header.attempt))
    scene.put(*(framed(batch(first)) for first in (0, 4, 8, 0)))
    events = scene.all()
    assert seqs(events) == [6, 7, 8, 9, 10, 11, 0, 1, 2, 3]
    assert [e.gap for e in events if isinstance(e, Steps)] == [None, None, None]
    other = Scene(start=Seq(6, attempt=1))
    other.put(framed(batch(0, 50)))
    assert (other.all(), other.cursor.position) == ([], 1)


def test_deleted_records_are_told_and_no_gap_follows() -> None:
    """Retention is no loss of a stream."""
    scene = Scene()
    scene.put(framed(batch(0)))
    chunk = Chunk([Item(scene.cursor, RecordsDeleted(At(*PLACE, 40, 0, b""), 1, 39))])
    scene.buffer.put(chunk)
    later = Chunk()
    later.add(scene.cursor, FakeRecord(40, framed(batch(400))))
    scene.buffer.put(later)
    first, deleted, last = scene.all()
    assert isinstance(deleted, RecordsDeleted)
    assert (deleted.first, deleted.last) == (1, 39)
    assert isinstance(last, Steps)
    assert (last.first_seq, last.gap) == (400, None)
    assert (seqs([first]), scene.cursor.position) == ([0, 1, 2, 3], 41)


def test_ctrl_c_at_any_moment_loses_no_event_and_hands_none_out_twice() -> None:
    """Interrupted by a real signal at random moments, wherever it is: every seq comes once, in order.

    How many signals meet the reader depends on the machine: the scene is played until there were twenty.
    """
    moments = random.Random(1)
    interrupts = 0
    while interrupts <= 20:
        found, met = interrupted_handing(moments)
        assert seqs(found) == [*range(600), *range(606, 610), *range(602, 606), *range(610, 612)]
        interrupts += met


def interrupted_handing(moments: random.Random) -> tuple[list[LogEvent], int]:
    """All events of a scene whose reader is interrupted again and again, and how often it was."""
    scene = Scene()
    scene.put(*(framed(batch(4 * n)) for n in range(150)), framed(batch(606, 4)), framed(batch(602, 10)))
    interrupts = 0
    inside = False

    def interrupt(_: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        while frame is not None and inside:
            if "/runbus/reader/" in frame.f_code.co_filename:
                interrupts += 1
                raise KeyboardInterrupt
            frame = frame.f_back

    before = signal.signal(signal.SIGALRM, interrupt)
    found: list[LogEvent] = []
    gc.disable()  # what is raised in a callback of the collector (hypothesis has one) reaches nobody
    try:
        while not scene.buffer.empty:
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.00001, 0.0006))
            inside = True
            try:
                event = scene.handing.next()
            except KeyboardInterrupt:
                continue
            finally:
                inside = False
            if event is not None:
                found.append(event)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    return found, interrupts
