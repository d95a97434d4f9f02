"""Groups the rows of a batch by episode and sums them up, for apps that follow episodes.

A segment is all rows of a batch that are of one episode of one env. Its arrays come from `ufunc.reduceat` over rows
that were sorted by (env, episode); a batch of a single environment is sorted already.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import lt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from runbus.schemas.batch import StepColumns

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Segments:
    """k segments in the order of their last rows; each array has shape (k,).

    A row is a reset (step 0: it carries no action, its reward is not counted) or a step (step 1 and up).

    Attributes:
        env: int32.
        episode: int64.
        rows: int64, all rows.
        steps: int64, rows that are no reset.
        return_: float64, sum of the rewards of steps.
        min_reward, max_reward: float64, of steps; inf and -inf if there is none.
        first_seq, last_seq: int64.
        first_ts, last_ts: int64, microseconds since the epoch, of the first and last row in seq order.
        first_step, last_step: int32, likewise.
        contiguous: bool, each row's step number is one above that of the row before.
        terminated, truncated: bool, if any row of the segment is.
        early_end: bool, if a row before the last one ends the episode.
        starts: int64, the index in `order` at which each segment begins.
        order: (n,) int64, the rows of the batch, segment by segment; rows that are not fresh are left out.
        count: rows of the batch.
        reward: (n,) float64, in `order`, 0 on resets.
    """

    env: NDArray[np.int32]
    episode: Ints
    rows: Ints
    steps: Ints
    return_: Floats
    min_reward: Floats
    max_reward: Floats
    first_seq: Ints
    last_seq: Ints
    first_ts: Ints
    last_ts: Ints
    first_step: NDArray[np.int32]
    last_step: NDArray[np.int32]
    contiguous: Bools
    terminated: Bools
    truncated: Bools
    early_end: Bools
    starts: Ints
    order: Ints
    count: int
    reward: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sum_squares(self) -> Floats:
        """(k,) sum of the squared rewards of steps."""
        return np.add.reduceat(self.reward * self.reward, self.starts)

    @property
    def of_row(self) -> Ints:
        """(count,) the segment of each row of the batch; -1 if the row is not fresh."""
        found = np.full(self.count, -1, np.int64)
        found[self.order] = np.repeat(np.arange(len(self.rows)), self.rows)
        return found


def segments(first_seq: int, columns: StepColumns, fresh: Bools | None) -> Segments | None:
    """Group the rows of a batch by (env, episode).

    Args:
        first_seq: seq of row 0.
        columns: of the batch, `count` rows each.
        fresh: (count,) the rows to take; None = all.

    Returns:
        None if there is no fresh row.
    """
    count = len(columns.env)
    rows = np.arange(count) if fresh is None else np.flatnonzero(fresh)
    if not len(rows):
        return None
    whole = len(rows) == count
    env, episode = (columns.env, columns.episode) if whole else (columns.env[rows], columns.episode[rows])
    starts = _ascending(env, episode)
    if starts is None:
        sorting = _sorting(env, episode)
        rows, env, episode, whole = rows[sorting], env[sorting], episode[sorting], False
        starts = np.concatenate((_ZERO, _changes(env, episode)))
    with np.errstate(all="ignore"):  # rewards may be anything
        return _reduce(first_seq, columns, rows, None if whole else rows, starts)


_ZERO = np.zeros(1, np.int64)


def _ascending(env: NDArray[np.int32], episode: Ints) -> Ints | None:
    """Return each segment's first row if the rows are of one env whose episodes ascend, as in a single environment."""
    if not _constant(env):
        return None
    if _constant(episode):
        return _ZERO
    starts = np.concatenate((_ZERO, (episode[1:] != episode[:-1]).nonzero()[0] + 1))
    episodes = episode[starts].tolist()
    return starts if all(map(lt, episodes, episodes[1:])) else None


def _constant(values: NDArray[np.int32] | Ints) -> bool:
    """Return whether all values are the same; bytes are compared faster than short arrays."""
    return values.tobytes() == values[:1].tobytes() * len(values)


def _changes(env: NDArray[np.int32], episode: Ints) -> Ints:
    """Return the indices of rows that are of another episode than the row before."""
    return np.flatnonzero((episode[1:] != episode[:-1]) | (env[1:] != env[:-1])) + 1


def _sorting(env: NDArray[np.int32], episode: Ints) -> Ints:
    """Return the order of the rows segment by segment, the segments by their last rows, rows as they were."""
    order = np.lexsort((episode, env))
    sorted_env, sorted_episode = env[order], episode[order]
    changes = _changes(sorted_env, sorted_episode)
    lasts = order[np.concatenate((changes - 1, [len(order) - 1]))]
    if bool((lasts[1:] > lasts[:-1]).all()):
        return order
    last_of = np.empty(len(order), np.int64)
    last_of[order] = np.repeat(lasts, np.diff(changes, prepend=0, append=len(order)))
    return np.argsort(last_of, kind="stable")


def _reduce(first_seq: int, columns: StepColumns, order: Ints, pick: Ints | None, starts: Ints) -> Segments:
    """Reduce each segment; `pick` is None if `order` is all rows as they are.

    Only few rows are resets, ends or jumps, so these are looked up by their positions: cheaper than a reduction each.
    """
    step, ts, reward, over, cut = columns.step, columns.ts, columns.reward, columns.terminated, columns.truncated
    if pick is not None:
        step, ts, reward, over, cut = step[pick], ts[pick], reward[pick], over[pick], cut[pick]
    lasts = np.concatenate((starts[1:], [len(order)])) - 1
    rows = steps = lasts - starts + 1
    least = most = reward
    resets = (step == 0).nonzero()[0]
    if len(resets):
        at_start = step[starts] == 0
        if np.count_nonzero(at_start) == len(resets):
            steps = rows - at_start
        else:  # a reset inside of an episode: the producer is wrong
            steps = rows - np.bincount(_segment(starts, resets), minlength=len(starts))
        least, most, reward = reward.copy(), reward.copy(), reward.copy()
        least[resets], most[resets], reward[resets] = np.inf, -np.inf, 0.0
    flags = np.zeros((4, len(starts)), np.bool_)
    broken, terminated, truncated, early = flags
    jumps = (step[1:] - step[:-1] != 1).nonzero()[0] + 1
    if len(jumps):
        at = _segment(starts, jumps)
        broken[at[starts[at] != jumps]] = True
    ends = (over | cut).nonzero()[0]
    if len(ends):
        at = _segment(starts, ends)
        terminated[at[over[ends] != 0]] = True
        truncated[at[cut[ends] != 0]] = True
        early[at[lasts[at] != ends]] = True
    firsts, finals = order[starts], order[lasts]
    return Segments(
        env=columns.env[firsts],
        episode=columns.episode[firsts],
        rows=rows,
        steps=steps,
        return_=np.add.reduceat(reward, starts),
        min_reward=np.minimum.reduceat(least, starts),
        max_reward=np.maximum.reduceat(most, starts),
        first_seq=firsts + first_seq,
        last_seq=finals + first_seq,
        first_ts=ts[starts],
        last_ts=ts[lasts],
        first_step=step[starts],
        last_step=step[lasts],
        contiguous=~broken,
        terminated=terminated,
        truncated=truncated,
        early_end=early,
        starts=starts,
        order=order,
        count=len(columns.env),
        reward=reward,
    )


def _segment(starts: Ints, positions: Ints) -> Ints:
    """Return the segment of each position."""
    return starts.searchsorted(positions, "right") - 1
