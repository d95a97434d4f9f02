"""Sums up the rows of one episode that were received, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.episodes.words import EpisodeWords, words_by_segment
from runbus.schemas.batch import Extra, StepBatch
from runbus.schemas.events import EndReason
from runbus.streams.segments import Segments

_INTS: Callable[[Episode], tuple[int, ...]] = attrgetter(
    *("rows", "steps", "first_seq", "last_seq", "first_ts", "last_ts", "first_step", "last_step", "broken")
)


@dataclass(slots=True)
class Episode:
    """Rows of one episode.

    Attributes:
        rows: received, resets included.
        steps: rows that are no reset.
        first_seq, first_ts, first_step: of the row with the lowest seq; ts in microseconds since the epoch.
        last_seq, last_ts, last_step: of the row with the highest seq.
        broken: step numbers repeat or jump although no row is missing: the producer is wrong.
        return_: sum of the rewards of steps.
        min_reward, max_reward: of steps; inf and -inf while there is none.
        extras: sum of each named number.
        words: what rows say in words, or None.
    """

    rows: int
    steps: int
    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int
    first_step: int
    last_step: int
    broken: int
    return_: float
    min_reward: float
    max_reward: float
    extras: dict[str, float] = field(default_factory=dict)
    words: EpisodeWords | None = None

    @property
    def ints(self) -> tuple[int, ...]:
        """The fields from `rows` to `broken`, in their order."""
        return _INTS(self)

    @property
    def floats(self) -> tuple[float, ...]:
        """The fields from `return_` to `max_reward`, in their order."""
        return self.return_, self.min_reward, self.max_reward

    def merge(self, other: Episode) -> None:
        """Take further rows of the same episode, before, after or between those that are known."""
        self.broken |= other.broken | (other.first_seq > self.last_seq and other.first_step <= self.last_step)
        if other.first_seq < self.first_seq:
            self.first_seq, self.first_ts, self.first_step = other.first_seq, other.first_ts, other.first_step
        if other.last_seq > self.last_seq:
            self.last_seq, self.last_ts, self.last_step = other.last_seq, other.last_ts, other.last_step
        self.rows += other.rows
        self.steps += other.steps
        self.return_ += other.return_
        self.min_reward = _least(self.min_reward, other.min_reward)
        self.max_reward = -_least(-self.max_reward, -other.max_reward)
        if other.extras:
            self.add_extras(other.extras)
        if self.words is None:
            self.words = other.words
        elif other.words is not None:
            self.words.merge(other.words)

    def add_extras(self, extras: dict[str, float]) -> None:
        """Add to the sums of named numbers."""
        for name, value in extras.items():
            self.extras[name] = self.extras.get(name, 0.0) + value

    @property
    def unbroken(self) -> bool:
        """Whether the steps go from the reset to the last one, each once; an agent may step without a reset."""
        return not self.broken and self.first_step <= 1 and self.rows == self.last_step - self.first_step + 1

    @property
    def has_hole(self) -> bool:
        """Whether a step between the first and the last row is missing."""
        return self.rows != self.last_step - self.first_step + 1


def _least(one: float, other: float) -> float:
    """Return the smaller one; NaN wins, as in numpy."""
    return one if one <= other or math.isnan(one) else other


class EpisodePart(NamedTuple):
    """The rows of one episode in a batch, and the reason if one of them ends it."""

    env: int
    episode: int
    reason: EndReason | None
    rows: Episode


def episode_parts(segs: Segments, batch: StepBatch, chosen: list[int] | None, masked: bool) -> Iterator[EpisodePart]:
    """Yield segments as the parts of their episodes.

    Args:
        segs: of the batch.
        batch: whose extras, labels and stops go to their episodes.
        chosen: indices of segments; None = all.
        masked: some rows were left out because they were received before, so a jump of the step number in a segment
            is no fault.
    """
    columns: list[NDArray[Any]] = [segs.env, segs.episode, segs.terminated, segs.truncated]
    columns += [segs.rows, segs.steps, segs.first_seq, segs.last_seq, segs.first_ts, segs.last_ts, segs.first_step]
    columns += [segs.last_step, segs.contiguous, segs.return_, segs.min_reward, segs.max_reward]
    at = slice(None) if chosen is None else chosen
    sums = extra_sums(segs, batch.extras) if batch.extras else {}
    words = words_by_segment(segs, batch) if batch.labels or batch.stop else {}
    lists = [column[at].tolist() for column in columns]
    for index, (env, episode, over, cut, *values) in enumerate(zip(*lists, strict=True)):
        values[8] = 0 if masked else not values[8]
        rows = Episode(*values)
        if sums:
            rows.extras = sums.get(index if chosen is None else chosen[index], {})
        if words:
            rows.words = words.get(index if chosen is None else chosen[index])
        yield EpisodePart(env, episode, "terminated" if over else "truncated" if cut else None, rows)


def extra_sums(segs: Segments, extras: tuple[Extra, ...]) -> dict[int, dict[str, float]]:
    """Return the sum of each extra per segment that has one: index of the segment -> name -> sum."""
    found: dict[int, dict[str, float]] = {}
    of_row = segs.of_row
    for extra in extras:
        owners = of_row[extra.rows]
        kept = owners >= 0
        owners, values = owners[kept], extra.values[kept]
        sums = np.bincount(owners, values, minlength=len(segs))
        for index in np.unique(owners).tolist():
            found.setdefault(index, {})[extra.name] = float(sums[index])
    return found
