"""Finds the journals of a folder, and says which process owns each of them.

A journal is a folder of its own, `host-boot-pid-attempt`, with segments and a file `lock`. Its owner holds that file's
flock, which ends with the process, however that dies. Reading needs no lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

SUFFIX = ".journal"
DAMAGED = "damaged"  # what could not be read of segments, as it was
LOCK = "lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """Return a short name of this start of the machine; empty where there is none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()[:8]
    except (OSError, UnicodeDecodeError):
        return ""


def name_of(attempt: int) -> str:
    """Return the name of this process's journal of an attempt; no other one has it."""
    host = re.sub(r"[^A-Za-z0-9_.]+", "_", socket.gethostname()) or "host"
    return f"{host}-{boot() or '0'}-{os.getpid()}-{attempt}"


class Lock:
    """The flock of one journal: held as long as this object and its process live."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _HELD.add(self)

    @classmethod
    def take(cls, folder: Path, *, create: bool = False) -> Lock | None:
        """Take the lock of a journal; None if a living process has it, or the journal is gone.

        Raises OSError: the file system has no locks, or the folder cannot be written.
        """
        path = folder / LOCK
        try:
            descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0) | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return cls(descriptor)
        except (BlockingIOError, FileNotFoundError):  # FileNotFoundError: its owner finished with it just now
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def drop(self) -> None:
        """Close it. In a forked child the lock stays the parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_HELD: weakref.WeakSet[Lock] = weakref.WeakSet()


def drop_locks() -> None:
    """Close every lock (called in a forked child): they stay the parent's, and end with it."""
    for lock in list(_HELD):
        lock.drop()


def journals(root: Path) -> list[Path]:
    """Return the journals of a folder, by name. One that a process is just making may be without segments.

    Raises OSError: the folder is not there, or cannot be read.
    """
    return sorted(path for path in root.iterdir() if (path / LOCK).is_file())


def segments(journal: Path) -> list[Path]:
    """Return the segments of a journal in their order."""
    with suppress(FileNotFoundError):
        return sorted(path for path in journal.iterdir() if path.name.endswith(SUFFIX))
    return []


def segment_name(number: int) -> str:
    """Return the file name of a segment."""
    return f"{number:08d}{SUFFIX}"


def is_owned(journal: Path) -> bool:
    """Return whether a living process has the lock. Changes nothing.

    Raises OSError: that cannot be told.
    """
    path = journal / LOCK
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def orphans(root: Path) -> Iterator[Path]:
    """Yield the journals with segments that no living process has. Raises OSError like `journals`."""
    for path in journals(root):
        if segments(path) and not is_owned(path):
            yield path


def remove(journal: Path) -> None:
    """Remove a journal that its owner is done with; what cannot be removed stays. Damaged parts are kept."""
    for path in segments(journal):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        (journal / LOCK).unlink()
    with suppress(OSError):  # not if there is something else in it
        journal.rmdir()
