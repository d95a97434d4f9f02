"""Runs an export: episodes from a source, those that were chosen to a writer, and counts the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runbus.config.progress import OnProgress, unseen
from runbus.export.api import Choice, EpisodeWriter, Outcome
from runbus.export.errors import CannotExport
from runbus.replay import Episode


def export(
    episodes: Iterable[Episode],
    writer: EpisodeWriter,
    choice: Choice,
    about: Mapping[str, Any],
    *,
    total: int | None = None,
    on_progress: OnProgress = unseen,
) -> Outcome:
    """Write the chosen episodes, and a description of the whole.

    Args:
        episodes: of one run, each once, incomplete ones too.
        writer: of the format.
        choice: which of them.
        about: of the run, as JSON data; what was left out is added.
        total: rows of all episodes, for `on_progress`.
        on_progress: takes how many of them are done.

    Raises:
        CannotExport: the format has no word for the values of the run, or no episode is chosen.
        RunBusError: the source cannot be read.
    """
    outcome = Outcome()
    seen = 0
    try:
        for episode in episodes:
            reason = choice.refuses(episode) or writer.write(episode)
            rows = len(episode.rows)
            if reason:
                outcome.left_out[reason] = outcome.left_out.get(reason, 0) + 1
            else:
                outcome.episodes += 1
                outcome.rows += rows
            seen += rows
            on_progress("exporting", seen, total, "records")
        if not outcome.episodes:
            raise CannotExport(f"nothing to export: {left_out_text(outcome) or 'the run has no episode'}")
        outcome.notes += writer.close(
            {**about, "episodes": outcome.episodes, "rows": outcome.rows, "left_out": outcome.left_out}
        )
    except BaseException:
        writer.abandon()
        raise
    return outcome


def left_out_text(outcome: Outcome) -> str:
    """Return how many episodes were left out and why, as one line; "" if none was."""
    return "; ".join(f"{count:,} episodes {reason}" for reason, count in outcome.left_out.items())
