"""Reads the settings of the journal, once."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from runbus.config import catalogue as c
from runbus.config.errors import ConfigError
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where a recorder keeps what is not delivered, and what that survives.

    Attributes:
        path: the folder; None = no journal.
        mode: `batch` keeps every closed batch, `step` each row.
        fsync: when the disk is asked to have it: `never`, `1s`, or `each` (after each write).
        limit_bytes: of all journals of this process in this folder.
        full: what happens at the limit: `stop` keeping and count, or `block`, and the loop waits.
    """

    path: Path | None = of(c.RECORDER_JOURNAL)
    mode: c.JournalMode = of(c.RECORDER_JOURNAL_MODE)
    fsync: c.JournalFsync = of(c.RECORDER_JOURNAL_FSYNC)
    limit_bytes: int = of(c.RECORDER_JOURNAL_MB)
    full: c.JournalFull = of(c.RECORDER_JOURNAL_FULL)

    @classmethod
    def load(
        cls, sources: Sources, path: str | os.PathLike[str] | None = None, mode: str | None = None
    ) -> JournalSettings:
        """Read and check the settings; what is given wins over the sources. Raises ConfigError."""
        found = load(cls, sources)
        if path is not None:
            found = replace(found, path=Path(path))
        if mode is not None:
            found = replace(found, mode=c.RECORDER_JOURNAL_MODE.kind.parse("journal_mode", mode))
        if mode is not None and found.path is None:
            raise ConfigError(f"journal_mode={mode!r} without a journal: give journal= a folder too")
        return found
