"""Hashing beside the loop: nobody waits who does not ask to, everything is handed on once and in order."""

import hashlib
import threading
from dataclasses import replace
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


def test_waiting_has_an_end_and_the_rest_is_handed_on_without_a_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that takes long holds up nobody: it, and what waits behind it, are recorded all the same, and once."""
    begun, go = threading.Event(), threading.Event()

    def slow(reference: FileReference, path: Path) -> FileReference:
        begun.set()
        go.wait(30)
        return replace(reference, sha256="late")

    monkeypatch.setattr(hashing, "hashed", slow)
    seen, worker = Seen(), Hashing()
    for name in ("a", "b"):
        worker.add(tmp_path / name, seen)
    assert begun.wait(30)
    assert not worker.wait(0.0)
    worker.give_up()
    go.set()
    assert worker.wait(30)
    names = [(reference.uri[-1], reference.sha256, "closed before" in why) for reference, why in seen.all]
    assert names == [("a", "", True), ("b", "", True)]


def test_who_fails_to_take_one_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next file is hashed."""
    (tmp_path / "x").write_bytes(b"x")
    seen, worker = Seen(), Hashing()

    def fails(reference: FileReference, why: str) -> None:
        raise OSError("no")

    worker.add(tmp_path / "x", fails)
    worker.add(tmp_path / "x", seen)
    assert worker.wait(30)
    assert len(seen.all) == 1
    assert "recording file:///" in caplog.text


def test_more_than_may_wait_are_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are handed on at once, with the reason."""
    seen, worker = Seen(), Hashing()
    monkeypatch.setattr(hashing, "MAX_WAITING", 1)
    go = blocked(tmp_path, seen, worker, 2)
    assert [why for _, why in seen.all] == ["1 files wait to be hashed"]
    go.set()
    assert worker.wait(30)
    assert len(seen.all) == 3
