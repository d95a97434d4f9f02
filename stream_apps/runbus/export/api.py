"""Defines what an export is made of: what it reads, what it writes to, and what it says in the end.

A source is any iterable of `runbus.replay.Episode`, such as `Source(run, unit="episodes", incomplete=True)`; it hands
out each episode once, and an export holds one at a time. A writer is one file of this package for each format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runbus.replay import Episode


@dataclass(frozen=True, slots=True)
class Choice:
    """Which episodes are exported.

    Attributes:
        begin_us, until_us: those whose first row is of the wall time [begin_us, until_us), in microseconds since the
            epoch; None = no bound.
        incomplete: also those that have no reset or no end, or whose steps are not all there.
    """

    begin_us: int | None = None
    until_us: int | None = None
    incomplete: bool = False

    def refuses(self, episode: Episode) -> str:
        """Return why an episode is not exported, as words behind a number of episodes; "" if it is."""
        began = int(episode.rows.ts[0])
        if (self.begin_us is not None and began < self.begin_us) or (
            self.until_us is not None and began >= self.until_us
        ):
            return "began outside of --from and --to"
        if not (episode.complete or self.incomplete):
            return "are not complete (--incomplete takes them)"
        return ""


@dataclass(slots=True)
class Outcome:
    """What an export has done so far.

    Attributes:
        episodes, rows: that were written; a reset is a row too.
        left_out: why -> how many episodes.
        notes: what else the format cannot say, a sentence each.
    """

    episodes: int = 0
    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class EpisodeWriter(Protocol):
    """Writes one file or folder of one format.

    What it cannot express of an episode it returns as a reason to leave it out; what it cannot express of a run it
    raises. It holds the rows of a row group or a few episodes, however long the run is.
    """

    def write(self, episode: Episode) -> str:
        """Take the next episode; return why it is left out, as words behind a number of episodes, or "".

        Raises:
            CannotExport: this format has no word for such values; the text says what has.
        """

    def close(self, description: Mapping[str, Any]) -> list[str]:
        """Write what is held, and a description of the whole (JSON data); return notes for the user.

        Raises:
            CannotExport: likewise.
        """

    def abandon(self) -> None:
        """Let go of what is open; what was written is of no use."""
