"""Keeps the tags and the pins that people put on whole runs, for the list of runs. Pure."""

from __future__ import annotations

from runbus.annotations.making import PIN, TAG
from runbus.schemas.events import Annotation


class RunMarks:
    """What holds of the annotations of runs; those of an agent, an episode or a step are no mark of their run."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, None]] = {}  # the one that was put there first first
        self._pinned: set[str] = set()

    def take(self, said: Annotation) -> str | None:
        """Take an annotation, or its removal; return the run whose marks it changes, or None."""
        if said.agent_id or said.attempt or said.episode >= 0:
            return None
        run = said.run_id
        before = self.of(run)
        if said.kind == TAG and said.removed:
            self._tags.get(run, {}).pop(said.name, None)
        elif said.kind == TAG:
            self._tags.setdefault(run, {})[said.name] = None
        elif said.kind == PIN:
            (self._pinned.discard if said.removed else self._pinned.add)(run)
        return run if self.of(run) != before else None

    def of(self, run: str) -> tuple[tuple[str, ...], bool]:
        """Return the tags of a run, and whether it is pinned."""
        return tuple(self._tags.get(run, ())), run in self._pinned
