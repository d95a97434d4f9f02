"""Puts the steps of episodes together, as they come out of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.model import StreamId
from runbus.reader.values import Column
from runbus.replay.rows import Layouts, StepRows, common, joined


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of one env, from its reset to its end.

    Attributes:
        rows: its steps in order; row 0 is the reset, row t what the t-th action led to.
        complete: it begins with its reset, no step is missing, and it was terminated or truncated.
    """

    rows: StepRows
    complete: bool

    @property
    def stream(self) -> StreamId:
        """Run, agent and attempt."""
        return self.rows.streams[int(self.rows.stream[0])]

    @property
    def env(self) -> int:
        """Index in a vector environment."""
        return int(self.rows.env[0])

    @property
    def episode(self) -> int:
        """Index of the episode within its env."""
        return int(self.rows.episode[0])

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def observations(self) -> Column:
        """T + 1 of them: the reset's, and one after each action."""
        return self.rows.observation

    @property
    def actions(self) -> Column:
        """T of them: actions[t] was taken at observations[t] and led to observations[t + 1]."""
        return self.rows.take(slice(1, None)).action if self._has_reset else self.rows.action

    @property
    def rewards(self) -> NDArray[np.float64]:
        """T of them."""
        return self.rows.reward[self._has_reset :]

    @property
    def return_(self) -> float:
        """The sum of its rewards."""
        return float(self.rewards.sum())

    @property
    def _has_reset(self) -> bool:
        return bool(self.rows.step[0] == 0)


_BEHIND = 2**40  # more than the rows of a block


class Ended(NamedTuple):
    """An episode that is over.

    Attributes:
        began: number of the block in which its first row is.
        order: grows with each episode that ends in a block, and is the same whenever the block is taken.
    """

    episode: Episode
    began: int
    order: int


@dataclass(slots=True)
class _Open:
    began: int
    episode: int
    layouts: Layouts
    parts: list[StepRows] = field(default_factory=list)


class Assembler:
    """Takes the steps of a lane, block by block, and gives out episodes as they end."""

    def __init__(self) -> None:
        self._open: dict[tuple[StreamId, int], _Open] = {}

    @property
    def began(self) -> list[int]:
        """Numbers of the blocks in which the open episodes began."""
        return [one.began for one in self._open.values()]

    def take(self, number: int, parts: list[StepRows]) -> list[Ended]:
        """Take a block; return the episodes that ended with one of its rows, in the order of these rows."""
        found: list[Ended] = []
        base = 0
        for part in parts:
            for rows in _segments(part):
                found += self._segment(number, part, rows, base)
            base += len(part)
        return sorted(found, key=lambda ended: ended.order)

    def rest(self) -> list[Ended]:
        """Return what is open at the end of a lane, behind all that ended in its last block, and forget it."""
        open_, self._open = list(self._open.values()), {}
        return [
            Ended(Episode(joined(one.parts), complete=False), one.began, _BEHIND + number)
            for number, one in enumerate(open_)
        ]

    def _segment(self, number: int, part: StepRows, rows: NDArray[np.int64] | slice, base: int) -> Iterator[Ended]:
        """Take consecutive rows of one episode; yield what ended with it."""
        taken = part.take(rows)
        first = rows.start if isinstance(rows, slice) else int(rows[0])
        last = rows.stop - 1 if isinstance(rows, slice) else int(rows[-1])
        key, episode = (part.streams[int(taken.stream[0])], int(taken.env[0])), int(taken.episode[0])
        one = self._open.get(key)
        both = None if one is None else common(one.layouts, taken.layouts)
        if one is not None and (one.episode != episode or both is None):
            # it was left in the middle: it ended before the first row of this one
            yield Ended(Episode(joined(self._open.pop(key).parts), complete=False), one.began, 2 * (base + first))
            one = None
        if one is None:
            one = self._open[key] = _Open(number, episode, taken.layouts)
        one.layouts = both or taken.layouts
        one.parts.append(taken)
        if bool(taken.terminated[-1] | taken.truncated[-1]):
            del self._open[key]
            yield Ended(_episode(one), one.began, 2 * (base + last) + 1)


def _episode(one: _Open) -> Episode:
    rows = joined(one.parts)
    whole = rows.step[0] == 0 and bool((np.diff(rows.step) == 1).all())
    return Episode(rows, complete=bool(whole))


def _segments(part: StepRows) -> Iterator[NDArray[np.int64] | slice]:
    """Yield the rows of each episode of a part of one stream: an env's in order, one env after the other."""
    env, episode = part.env, part.episode
    order = None
    if len(env) and (env != env[0]).any():
        order = np.argsort(env, kind="stable")
        env, episode = env[order], episode[order]
    ends = (part.terminated | part.truncated) if order is None else (part.terminated | part.truncated)[order]
    cut = (env[1:] != env[:-1]) | (episode[1:] != episode[:-1]) | ends[:-1]
    edges = [0, *(np.flatnonzero(cut) + 1).tolist(), len(env)]
    for start, stop in pairwise(edges):
        yield slice(start, stop) if order is None else order[start:stop]
