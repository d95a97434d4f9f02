"""Hashing beside the loop: nobody waits who does not ask to, everything is handed on once and in order."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from runbus.recorder import hashing
from runbus.recorder.file_reference import FileReference
from runbus.recorder.hashing import Hashing
from tests.support.waiting import until


class Seen:
    """Keeps what was handed on."""

    def __init__(self) -> None:
        self.all: list[tuple[FileReference, str]] = []

    def __call__(self, reference: FileReference, why: str) -> None:
        """Keep one."""
        self.all.append((reference, why))


def test_files_are_handed_on_in_order_and_the_thread_ends(tmp_path: Path) -> None:
    """Also those that are not there, with the reason; what is elsewhere is handed on at once."""
    seen, worker = Seen(), Hashing()
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
        worker.add(tmp_path / name, seen)
    worker.add(tmp_path / "none", seen)
    assert worker.wait(30)
    worker.add("s3://there/x", seen)
    digests = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b")]
    assert [(reference.bytes, reference.sha256) for reference, _ in seen.all[:2]] == [(1, one) for one in digests]
    missing, elsewhere = seen.all[2:]
    assert missing[0] == FileReference((tmp_path / "none").as_uri())
    assert "No such file" in missing[1]
    assert elsewhere == (FileReference("s3://there/x"), "")
    until("the thread has ended", lambda: not [t for t in threading.enumerate() if t.name == "runbus-hashing"])


def blocked(tmp_path: Path, seen: Seen, worker: Hashing, files: int) -> threading.Event:
    """Let the thread stand at a first file, and some wait behind it; return what lets it go on."""
    (tmp_path / "x").write_bytes(b"x")
    begun, go = threading.Event(), threading.Event()

    def stand(reference: FileReference, why: str) -> None:
        begun.set()
        go.wait(30)
        seen(reference, why)

    worker.add(tmp_path / "x", stand)
    assert begun.wait(30)
    for _ in range(files):
        worker.add(tmp_path / "x", seen)
    return go


def test_waiting_has_an_end_and_the_rest_is_handed_on_without_a_hash(tmp_path: Path) -> None:
    """A file that takes long holds up nobody: what waits behind it is recorded all the same."""
    seen, worker = Seen(), Hashing()
    go = blocked(tmp_path, seen, worker, 2)
    assert not worker.wait(0.0)
    worker.give_up()
    assert [(reference.sha256, "closed before" in why) for reference, why in seen.all] == [("", True)] * 2
    go.set()
    assert worker.wait(30)
    assert seen.all[2][0].bytes == 1


def test_more_than_may_wait_are_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are handed on at once, with the reason."""
    seen, worker = Seen(), Hashing()
    monkeypatch.setattr(hashing, "MAX_WAITING", 1)
    go = blocked(tmp_path, seen, worker, 2)
    assert [why for _, why in seen.all] == ["1 files wait to be hashed"]
    go.set()
    assert worker.wait(30)
    assert len(seen.all) == 3


def test_a_forked_child_hashes_what_is_its_own(tmp_path: Path) -> None:
    """Nothing of its parent's, and the lock that a thread of the parent holds is not its own."""
    seen, worker = Seen(), Hashing()
    go = blocked(tmp_path, seen, worker, 1)
    worker._changed.acquire()
    pid = os.fork()
    if pid == 0:
        mine = Seen()
        ok = worker.wait(0)
        worker.add(tmp_path / "x", mine)
        ok = ok and worker.wait(30) and len(mine.all) == 1 and not seen.all
        os._exit(0 if ok else 1)
    worker._changed.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    go.set()
    assert worker.wait(30)
    assert len(seen.all) == 2
