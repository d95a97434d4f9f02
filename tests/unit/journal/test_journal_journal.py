"""A journal on a real disk: owners, forks, errors of the disk, the bound, what may be deleted."""

import errno
import logging
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from runbus.recorder.journal import folder as folders
from runbus.recorder.journal import journal as journal_module
from runbus.recorder.journal import segments as segments_module
from runbus.recorder.journal.folder import Lock, is_owned, journals, orphans, segments
from runbus.recorder.journal.format import MARK, record
from runbus.recorder.journal.reading import survey
from tests.support.journals import read_back, seqs, step, stream_in


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a segment have 4 KiB, so that some hundred rows fill several."""
    monkeypatch.setattr(segments_module, "SEGMENT_BYTES", 4096)


@pytest.fixture(autouse=True)
def no_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next batch try the disk again at once."""
    monkeypatch.setattr(journal_module, "_RETRY_S", 0.0)


def test_each_row_is_on_disk_when_its_call_returns(tmp_path: Path) -> None:
    """Mode step; mode batch has them once the batch is closed."""
    stream, _ = stream_in(tmp_path)
    for n in range(300):
        assert step(stream, n, {"n": n} if n % 7 == 0 else None) == n
        if n % 50 == 0 or n > 250:
            assert seqs(read_back(stream.journal.path)) == list(range(n + 1))
    batched, _ = stream_in(tmp_path, "batch")
    for n in range(300):
        step(batched, n)
    assert seqs(read_back(batched.journal.path)) == list(range(256))
    batched.close()
    assert seqs(read_back(batched.journal.path)) == list(range(300))
    assert batched.journal.stats()["kept"] == 300


def test_segments_are_deleted_once_their_rows_are_acknowledged(tmp_path: Path, small_segments: None) -> None:
    """In their order, and only those below the ack; each can be read without those before it."""
    stream, published = stream_in(tmp_path, "batch")
    for n in range(2000):
        step(stream, n)
    path, journal = stream.journal.path, stream.journal
    before = segments(path)
    assert len(before) > 3
    journal.delivered(published[1].first_seq, published[1].count, 2, 11)  # out of order: nothing is below it
    assert segments(path) == before
    journal.delivered(published[0].first_seq, published[0].count, 2, 10)
    assert segments(path) < before or len(segments(path)) < len(before)
    said = survey(path)
    assert said.ack is not None
    assert (said.ack.partition, said.ack.offset, said.ack.next_seq) == (2, 10, published[2].first_seq)
    assert seqs(read_back(path, said.ack.next_seq))[0] == published[2].first_seq
    for batch in published:
        journal.delivered(batch.first_seq, batch.count, 2, 12)
    assert len(segments(path)) == 1
    journal.remove()
    assert not path.exists()
    assert journal.stats()["bytes"] == 0


def test_rows_that_were_given_up_hold_up_no_ack(tmp_path: Path) -> None:
    """Refused rows are counted in the ack, so that whoever recovers the stream knows of them."""
    stream, published = stream_in(tmp_path, "batch")
    step(stream)
    stream.refuse(0, reset=False)
    step(stream)
    stream.close()
    for batch in published:
        stream.journal.delivered(batch.first_seq, batch.count, 0, batch.first_seq)
    ack = survey(stream.journal.path).ack
    assert ack is not None
    assert (ack.next_seq, ack.dropped) == (3, 1)


# --- owners -----------------------------------------------------------------------------------------------------


def test_a_journal_has_one_owner(tmp_path: Path) -> None:
    """Nobody takes the lock of a living owner, or of another taker; reading and listing need none."""
    stream, _ = stream_in(tmp_path)
    step(stream)
    path = stream.journal.path
    assert list(journals(tmp_path)) == [path]
    assert not list(orphans(tmp_path))
    assert Lock.take(path) is None
    stream.journal.leave()
    assert list(orphans(tmp_path)) == [path]
    first = Lock.take(path)
    assert first is not None
    assert Lock.take(path) is None
    assert is_owned(path)
    folders.remove(path)
    first.drop()
    assert Lock.take(path) is None
    assert not list(journals(tmp_path))


def test_a_forked_child_owns_nothing_of_its_parent(tmp_path: Path) -> None:
    """It closes what it inherits: after the parent's end its journal is an orphan although the child lives."""
    begun, end = os.pipe()
    go, stop = os.pipe()
    parent = os.fork()
    if not parent:  # a process that dies, with a child that outlives it
        stream, _ = stream_in(tmp_path)
        step(stream)
        child = os.fork()
        if not child:
            journal_module.after_fork()  # as the recorder's process does
            stream.journal.keep(stream._open, 0, 0)
            os.write(end, b"c")
            os.close(stop)
            os.read(go, 1)  # until the test has looked
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    assert os.read(begun, 1) == b"c"
    (path,) = orphans(tmp_path)
    assert seqs(read_back(path)) == [0]
    for descriptor in (stop, go, begun, end):
        os.close(descriptor)


def test_a_clock_that_is_set_back_costs_no_journal(tmp_path: Path) -> None:
    """Two attempts of one number, a pid that comes again: the second has no journal rather than the first one's."""
    stream, _ = stream_in(tmp_path)
    step(stream)
    event = stream.journal._started
    assert event is not None
    with pytest.raises(FileExistsError):
        journal_module.Journal.begin(event, stream.journal._settings)
    assert seqs(read_back(stream.journal.path)) == [0]


# --- errors of the disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["step", "batch"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_an_error_of_the_disk_is_counted_and_the_loop_goes_on(
    tmp_path: Path, mode: str, code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows are published, not kept, said once; with space the next batch is kept, and nothing that was is lost."""
    stream, published = stream_in(tmp_path, mode)
    for n in range(300):
        step(stream, n)

    def full(_descriptor: int, _raw: bytes) -> int:
        raise OSError(code, os.strerror(code))

    with caplog.at_level(logging.ERROR), monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        patched.setattr("runbus.recorder.journal.stream._write", full)
        for n in range(300, 900):
            step(stream, n)
        stream.journal.delivered(0, 256, 0, 0)  # the ack cannot be written either
    for n in range(900, 1600):
        step(stream, n)
    stream.close()
    stats = stream.journal.stats()
    assert seqs(published) == list(range(1600))
    assert stats["kept"] + stats["unkept"] == 1600
    kept = [batch for batch in published if batch.journal is not None]
    assert sum(batch.count for batch in kept) == stats["kept"] >= 700
    assert set(seqs(kept)) <= set(seqs(read_back(stream.journal.path)))
    assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1


def test_a_disk_that_takes_a_part_of_a_record(tmp_path: Path) -> None:
    """A real limit in the midst of a write: the torn record ends its segment, and every whole one is read."""
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        stream, published = stream_in(tmp_path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for n in range(1000):
            step(stream, n)
        stream.close()
        whole = seqs([batch for batch in published if batch.journal is not None])
        os._exit(0 if set(whole) <= set(seqs(read_back(stream.journal.path))) and len(published) >= 4 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    (path,) = orphans(tmp_path)
    back = seqs(read_back(path))
    assert back == sorted(set(back))
    assert len(back) > 200
    assert all(flaw.torn for flaw in survey(path).flaws)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in its place: the journal says so, which the recorder counts; nothing else fails."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"file"):
        stream_in(tmp_path / "file")


def test_the_bound_stops_keeping_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Past it batches are published and not kept; once acks have freed room they are kept again."""
    with caplog.at_level(logging.ERROR):
        stream, published = stream_in(tmp_path, "batch", limit_bytes=60_000)
        for n in range(256 * 8):
            step(stream, n)
    stats = stream.journal.stats()
    assert 0 < stats["kept"] < 256 * 8
    assert stats["bytes"] < 60_000 + 20_000
    assert len([r for r in caplog.records if "RUNBUS_RECORDER_JOURNAL_MB" in r.getMessage()]) == 1
    assert [batch.journal is not None for batch in published] == sorted(
        [batch.journal is not None for batch in published], reverse=True
    )


def test_at_the_bound_the_loop_waits_if_it_was_asked_to(tmp_path: Path, small_segments: None) -> None:
    """Policy block: it goes on once acks have freed room, and no row is unkept."""
    stream, published = stream_in(tmp_path, "batch", limit_bytes=40_000, full="block")

    def deliver() -> None:
        done = 0
        while done < 256 * 8:
            for batch in [batch for batch in list(published) if batch.first_seq == done]:
                stream.journal.delivered(batch.first_seq, batch.count, 0, 0)
                done += batch.count

    courier = threading.Thread(target=deliver)
    courier.start()
    for n in range(256 * 8):
        step(stream, n)
    courier.join()
    assert stream.journal.stats()["unkept"] == 0


# --- damage, versions -------------------------------------------------------------------------------------------


def test_any_changed_byte_costs_at_most_a_batch(tmp_path: Path) -> None:
    """Of a small journal every byte is changed once: reading never fails, and other batches are whole."""
    stream, published = stream_in(tmp_path)
    for n in range(3):
        for m in range(3):
            step(stream, n * 3 + m)
        stream.close()
    (path,) = segments(stream.journal.path)
    raw = path.read_bytes()
    for byte in range(len(raw)):
        data = bytearray(raw)
        data[byte] ^= 0x55
        path.write_bytes(data)
        back = seqs(read_back(stream.journal.path))
        assert back == sorted(set(back)), byte
        assert len(back) >= 6, byte
        survey(stream.journal.path)
    assert len(published) == 3


def test_a_kind_that_is_not_known_is_skipped_and_said(tmp_path: Path) -> None:
    """A newer version may write more: the rows are read, and the rest is named."""
    stream, _ = stream_in(tmp_path)
    step(stream)
    (path,) = segments(stream.journal.path)
    path.write_bytes(path.read_bytes() + record(77, 0, b"what is this"))
    said = survey(stream.journal.path)
    assert [flaw.why for flaw in said.flaws] == ["kind 77: a newer RunBus wrote it"]
    assert seqs(read_back(stream.journal.path)) == [0]


def test_a_header_that_is_damaged_is_made_up_for_by_the_start(tmp_path: Path) -> None:
    """Every segment names its stream twice."""
    stream, _ = stream_in(tmp_path)
    step(stream)
    (path,) = segments(stream.journal.path)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    said = survey(stream.journal.path)
    assert said.header is None
    assert said.started == stream.journal._started
    assert said.rows == 1
    assert data.count(MARK) >= 3
