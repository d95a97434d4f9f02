"""Notices new passwords and certificates: looks at the files that hold them, once a second."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from pathlib import Path

#: Seconds between two looks. A look reads some KiB; a mounted secret takes a minute to arrive anyway.
LOOK_S = 1.0


class CredentialFiles:
    """Tells that the content of files has changed, once it rests.

    A certificate and its key are two files, and so are old and new for a moment: a change counts when two looks, one
    after the other, saw the same. A file that is gone or cannot be read counts as unchanged.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._known = self._before = self._look({})

    def changed(self) -> tuple[Path, ...]:
        """Return the files that are different from what the last call that returned some, or the start, saw."""
        now = self._look(self._before)
        rests, self._before = now == self._before, now
        if not rests or now == self._known:
            return ()
        different = tuple(path for path in self._paths if now.get(path) != self._known.get(path))
        self._known = now
        return different

    async def wait(self) -> tuple[Path, ...]:
        """Return what changed, once something did."""
        changed = self.changed()
        while not changed:
            await asyncio.sleep(LOOK_S)
            changed = self.changed()
        return changed

    def _look(self, before: dict[Path, bytes]) -> dict[Path, bytes]:
        found = dict(before)
        for path in self._paths:
            try:
                found[path] = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                continue
        return found
