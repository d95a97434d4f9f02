"""Keeps the readers of this process that have begun: a forked child leaves them to its parent, an exit closes them."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol


class Begun(Protocol):
    """A reader that has begun, as the process sees it."""

    def close(self) -> None:
        """Leave the group."""

    def after_fork(self) -> None:
        """Leave everything to the parent (called in a forked child)."""


_READERS: weakref.WeakSet[Begun] = weakref.WeakSet()


def join(reader: Begun) -> None:
    """Take a reader that begins."""
    _READERS.add(reader)


def leave(reader: Begun) -> None:
    """Forget a reader that was closed."""
    _READERS.discard(reader)


def _after_fork() -> None:
    for reader in list(_READERS):
        reader.after_fork()
    _READERS.clear()


def _at_exit() -> None:
    """Leave the groups: who starts next under the same names need not wait for the sessions to end."""
    for reader in list(_READERS):
        reader.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
