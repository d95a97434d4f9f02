"""The fetcher's turns without Kafka: a buffer that is full, commits, new clients, deleted records."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Message

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.reader import fetcher as module
from runbus.reader.buffer import Buffer
from runbus.reader.client import Again, Came, Lost, NewClient
from runbus.reader.commits import CommitRequest
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.errors import CursorNotSaved
from runbus.reader.events import RecordsDeleted
from runbus.reader.fetcher import Fetcher
from tests.unit.reader.fakes import PLACE, FakeClient, FakeRecord, plan


def came(*records: FakeRecord, reached: int | None = None, out_of_range: bool = False) -> Came:
    """Return what a read brings."""
    found: list[Any] = list(records)
    messages: list[Message] = found
    return Came(messages, {} if reached is None else {PLACE: reached}, [PLACE] if out_of_range else [])


class Scene:
    """A fetcher whose turns are made one by one."""

    def __init__(self, *, run: str | None = None, buffer_bytes: int = 2**20) -> None:
        self.buffer = Buffer(buffer_bytes)
        self.client = FakeClient()
        self.fetcher = Fetcher(plan(run=run, buffer_bytes=buffer_bytes), self.buffer, self.client.made)  # type: ignore[arg-type]
        self.client.made(plan(), self.fetcher.cursors, lambda: False, lambda: None)
        self.client.open()

    @property
    def cursor(self) -> PartitionCursor:
        """The cursor of the partition."""
        return self.fetcher.cursors[PLACE]

    def turn(self) -> None:
        """Make a turn."""
        self.fetcher._turn(self.client)  # type: ignore[arg-type]

    def offsets(self) -> list[int]:
        """Return the offsets that wait."""
        return [r.offset() or 0 for c in self.buffer.waiting() for _, r in c.items if isinstance(r, FakeRecord)]

    def commit(self, offset: int = 5, seconds: float = 30) -> CommitRequest:
        """Ask for a commit."""
        request = CommitRequest({self.cursor: (offset, "text")}, Deadline.after(seconds, time.monotonic()))
        self.fetcher.request(request)
        return request


def test_what_comes_waits_in_the_buffer_and_what_is_not_wanted_is_passed() -> None:
    """A record of another run takes no memory, and the position passes it."""
    scene = Scene(run="run-1")
    scene.client.coming.append(came(FakeRecord(0, b"x"), FakeRecord(1, b"y", b"other/a"), FakeRecord(2, b"z", b"")))
    scene.turn()
    assert scene.offsets() == [0]
    (chunk,) = scene.buffer.waiting()
    assert (chunk.passed, scene.fetcher.passed_over) == ({scene.cursor: 3}, 2)


def test_many_records_that_are_not_wanted_make_no_chunks() -> None:
    """While something waits they are only counted: one number a partition."""
    scene = Scene(run="run-1")
    scene.client.coming.append(came(FakeRecord(0, b"x")))
    scene.turn()
    for offset in range(1, 500):
        scene.client.coming.append(came(FakeRecord(offset, b"x", b"other/a")))
        scene.turn()
    assert len(scene.buffer.waiting()) == 1
    scene.buffer.drop_first(scene.buffer.waiting()[0])
    scene.turn()
    assert scene.buffer.waiting()[0].passed == {scene.cursor: 500}


def test_the_end_of_a_partition_passes_markers_behind_the_last_record() -> None:
    """The lag becomes 0 although the last offsets hold no record."""
    scene = Scene()
    scene.client.coming.append(came(FakeRecord(0, b"x"), reached=3))
    scene.turn()
    assert scene.buffer.waiting()[0].passed == {scene.cursor: 3}
    assert scene.cursor.fetched == 3


def test_what_was_fetched_before_is_not_taken_again() -> None:
    """A client that was paused may read a record again."""
    scene = Scene()
    scene.client.coming.extend([came(FakeRecord(0, b"x"), FakeRecord(1, b"y")), came(FakeRecord(1, b"y"))])
    scene.turn()
    scene.turn()
    assert scene.offsets() == [0, 1]


def test_a_buffer_that_stays_full_pauses_and_one_that_has_room_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """First the client keeps what it read ahead; then it pauses; it goes on once half of the buffer is free."""
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    monkeypatch.setattr(module, "_HOLD_AFTER_S", 0.05)
    scene = Scene(buffer_bytes=10_000)
    scene.client.coming.append(came(*(FakeRecord(n, bytes(1500)) for n in range(6))))
    scene.turn()
    assert scene.buffer.full
    scene.turn()
    assert (scene.client.held, len(scene.client.asked)) == (set(), 1)
    end = time.monotonic() + 10
    while not scene.client.held and time.monotonic() < end:
        scene.turn()
    assert scene.client.held == {PLACE}
    assert scene.client.asked[-1] == 1  # the membership goes on
    scene.client.coming.append(came(*(FakeRecord(n, bytes(1500)) for n in range(6, 8))))
    scene.turn()
    while not scene.buffer.empty:
        scene.buffer.drop_first(scene.buffer.waiting()[0])
    scene.turn()
    assert scene.client.held == set()


def test_no_more_is_read_than_there_is_room_for() -> None:
    """Large records are read one by one: memory stays within its bound."""
    scene = Scene(buffer_bytes=2**20)
    assert scene.fetcher._most() == 16
    scene.client.coming.append(came(*(FakeRecord(n, bytes(400_000)) for n in range(2))))
    scene.turn()
    assert scene.fetcher._most() == 1
    scene.client.coming.append(came())
    scene.turn()
    assert scene.client.asked == [16, 1]


@pytest.mark.parametrize("shrank", [False, True])
def test_an_offset_that_is_not_in_the_log_any_more(shrank: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What retention deleted is told; a log that ends before is read from its end, and that is logged."""
    scene = Scene()
    scene.cursor.fetched = 50
    scene.cursor.handed = Handed(50)
    scene.client.low, scene.client.end = (0, 20) if shrank else (70, 90)
    before = scene.cursor
    scene.client.coming.append(came(out_of_range=True))
    scene.turn()
    goes_on = 20 if shrank else 70
    assert (scene.client.sought, scene.cursor.fetched) == ([(PLACE, goes_on)], goes_on)
    if shrank:
        assert (before.lost, scene.cursor.position) == (True, 20)
        assert "reader.log_shrank" in caplog.text
    else:
        ((_, told),) = scene.buffer.waiting()[0].items
        assert isinstance(told, RecordsDeleted)
        assert (told.first, told.last) == (50, 69)


# --- commits --------------------------------------------------------------------------------------------------


def test_a_commit_is_carried_out_and_its_offset_remembered() -> None:
    """The request is answered with what is saved."""
    scene = Scene()
    request = scene.commit()
    scene.turn()
    assert (request.saved, scene.cursor.committed) == ({PLACE: 5}, 5)
    assert scene.client.committed == [{PLACE: (5, "text")}]
    assert request.done.wait(0)


def test_a_commit_is_made_again_while_the_broker_is_away() -> None:
    """Within its time; afterwards the error says what to do."""
    scene = Scene()
    scene.client.raises.extend([Again("away"), Again("away"), None])
    request = scene.commit()
    for _ in range(2):
        scene.turn()
        assert not request.over
    scene.turn()
    assert request.saved == {PLACE: 5}
    scene.client.raises.append(Again("away"))
    late = scene.commit(6, seconds=0)
    scene.turn()
    assert isinstance(late.error, CursorNotSaved)
    assert str(late.error) == "the cursor of reader gui-1 was not saved: away; commit again"


def test_a_commit_that_is_refused_is_an_error() -> None:
    """A person has to act."""
    scene = Scene()
    scene.client.raises.append(RunBusError("no right"))
    request = scene.commit()
    scene.turn()
    assert (request.saved, str(request.error)) == (None, "no right")


def test_who_was_thrown_out_of_the_group_commits_once_it_is_back() -> None:
    """If it gets back what it had, and nobody has read on meanwhile."""
    scene = Scene()
    scene.client.raises.append(Lost("thrown out"))
    request = scene.commit()
    scene.turn()
    before = scene.fetcher.cursors.pop(PLACE)
    scene.client.joining = True
    scene.turn()
    assert not request.over
    scene.client.joining = False
    scene.fetcher.cursors[PLACE] = PartitionCursor(PLACE, before.handed, 5, before.sequences)
    scene.turn()
    assert request.saved == {PLACE: 5}


def test_a_commit_of_partitions_that_went_away_says_so() -> None:
    """Nothing is committed for another member."""
    scene = Scene()
    request = scene.commit()
    del scene.fetcher.cursors[PLACE]
    scene.turn()
    assert isinstance(request.error, CursorNotSaved)
    assert scene.client.committed == []


def test_a_commit_outlives_a_new_client() -> None:
    """It waits until the new one has the partition, and is then carried out."""
    scene = Scene()
    request = scene.commit()
    scene.fetcher._set_aside()
    scene.turn()
    assert not request.over
    scene.client.open()
    scene.turn()
    assert request.saved == {PLACE: 5}


# --- the thread -----------------------------------------------------------------------------------------------


def wait_for(condition: Any) -> None:
    """Return once it holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_new_client_takes_over_where_the_user_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the old one had fetched is read again, and the old cursor hands nothing out any more."""
    monkeypatch.setattr(module, "_RESTART_S", 0.0)
    scene = Scene()
    scene.client.coming.extend([came(FakeRecord(0, b"x"), FakeRecord(1, b"y")), NewClient("of no use")])
    scene.fetcher.start()
    wait_for(lambda: scene.client.opened == 3)
    assert scene.client.closed == 1
    (chunk,) = scene.buffer.waiting()
    assert chunk.items[0].cursor.lost
    assert (scene.cursor.lost, scene.cursor.fetched) == (False, 0)
    scene.fetcher.end()
    scene.fetcher.join()
    assert scene.client.closed == 2


def test_an_error_that_a_person_has_to_mend_ends_the_thread() -> None:
    """It is kept for the user, and commits that wait are answered."""
    scene = Scene()
    scene.client.coming.append(RunBusError("no right"))
    scene.client.raises.append(Again("away"))
    request = scene.commit()
    scene.fetcher.start()
    wait_for(lambda: scene.fetcher.failed is not None)
    assert str(scene.fetcher.failed) == "no right"
    wait_for(lambda: request.over)
    assert str(request.error) == "reader gui-1 has ended: no right"


def test_the_end_is_quick_and_leaves_the_group() -> None:
    """To end and to wait for the end, more than once."""
    scene = Scene()
    scene.fetcher.join()  # it has not begun
    scene.fetcher.start()
    scene.fetcher.start()
    wait_for(lambda: scene.client.opened == 2)
    for _ in range(2):
        scene.fetcher.end()
        scene.fetcher.join()
    assert (scene.client.closed, scene.fetcher.failed) == (1, None)
