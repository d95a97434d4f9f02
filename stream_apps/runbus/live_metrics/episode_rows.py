"""Groups the rows of a batch by episode, as plain values: as `runbus.streams.segments`, but cheaper in simple cases.

Most batches are of one environment and of one to three episodes in order: slices of the columns suffice, for a third of
the cost of grouping.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.schemas.batch import StepColumns
from runbus.streams.segments import segments

#: With more changes of episode than this, grouping at once is the cheaper way.
_MOST_CHANGES = 8


class EpisodeRows(NamedTuple):
    """The new rows of a batch that are of one episode of one env.

    Attributes:
        env, episode: the index of the env and the number of the episode.
        steps: rows that are no reset.
        return_: sum of their rewards.
        first_ts, last_ts: of the first and last row in seq order, microseconds.
        terminated, truncated: whether any row is.
    """

    env: int
    episode: int
    steps: int
    return_: float
    first_ts: int
    last_ts: int
    terminated: bool
    truncated: bool


def episode_rows(columns: StepColumns, fresh: NDArray[np.bool_] | None) -> list[EpisodeRows]:
    """Return the rows of each episode of a batch, in the order of their last rows.

    Args:
        columns: of the batch, (n,) each.
        fresh: (n,) the rows to take, at least one; None = all.
    """
    if fresh is None:
        env, episode = columns.env, columns.episode
        if env.tobytes() == env[:1].tobytes() * len(env):
            bounds = [0, *(np.flatnonzero(episode[1:] != episode[:-1]) + 1).tolist(), len(env)]
            firsts = [int(episode[i]) for i in bounds[: min(len(bounds) - 1, _MOST_CHANGES + 2)]]
            if len(bounds) <= _MOST_CHANGES + 2 and all(a < b for a, b in pairwise(firsts)):
                return _sliced(columns, bounds, firsts)
    return _grouped(columns, fresh)


def _sliced(columns: StepColumns, bounds: list[int], episodes: list[int]) -> list[EpisodeRows]:
    env, ts, step, reward = int(columns.env[0]), columns.ts, columns.step, columns.reward
    if np.count_nonzero(step) != len(step):
        reward = np.where(step == 0, 0.0, reward)
    terminated, truncated = columns.terminated.tobytes(), columns.truncated.tobytes()
    found = []
    for i, episode in enumerate(episodes):
        a, b = bounds[i], bounds[i + 1]
        steps, return_ = int(np.count_nonzero(step[a:b])), float(np.add.reduce(reward[a:b]))
        ends = terminated.find(1, a, b) >= 0, truncated.find(1, a, b) >= 0
        found.append(EpisodeRows(env, episode, steps, return_, int(ts[a]), int(ts[b - 1]), *ends))
    return found


def _grouped(columns: StepColumns, fresh: NDArray[np.bool_] | None) -> list[EpisodeRows]:
    found = segments(0, columns, fresh)
    if found is None:
        return []
    lists = [getattr(found, name).tolist() for name in EpisodeRows._fields]
    return list(map(EpisodeRows._make, zip(*lists, strict=True)))
