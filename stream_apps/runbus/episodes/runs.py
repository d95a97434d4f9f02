"""Which episodes of an env lie around the gaps of its stream: which gap can hold rows of which episode.

A run is rows of one env with no gap of the stream between them. In an env episodes ascend, so a gap can hold rows of
an episode if the run before it does not end above, and the run after it does not begin below, that episode. Runs are
kept only while their stream has gaps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

Gap = tuple[int, int]


class Run(NamedTuple):
    """Rows of one env from `first` to `last` (seq), the first of `low` episode and the last of `high`."""

    first: int
    last: int
    low: int
    high: int


class Runs:
    """The runs of one stream, by env, ascending and at least one gap apart."""

    def __init__(self) -> None:
        self.by_env: dict[int, list[Run]] = {}

    def add(self, env: int, run: Run, gaps: list[Gap]) -> None:
        """Take the rows of one episode in one batch; `gaps` are those of the stream after the batch."""
        runs = self.by_env.setdefault(env, [])
        if runs and run.first <= runs[-1].last:
            self.by_env[env] = _joined(sorted([*runs, run]), gaps)
        elif runs and gaps[-1][0] < runs[-1].last:
            runs[-1] = Run(runs[-1].first, run.last, runs[-1].low, run.high)
        else:
            runs.append(run)
            if len(runs) > 1 and not gap_between(gaps, runs[-2].last, run.first):
                self.by_env[env] = _joined(runs, gaps)

    def knows(self, env: int, episode: int, seq: int) -> bool:
        """Return whether rows of an episode were seen next to the gap that `seq` was in."""
        runs = self.by_env.get(env, [])
        after = bisect_left(runs, seq, key=lambda run: run.first)
        before_is = after > 0 and runs[after - 1].high == episode
        return before_is or (after < len(runs) and runs[after].low == episode)

    def settle(self, gaps: list[Gap]) -> None:
        """Forget what is not needed any more after gaps were filled."""
        if gaps:
            self.by_env = {env: _joined(runs, gaps) for env, runs in self.by_env.items()}
        else:
            self.by_env = {}

    def can_hold(self, gap: Gap, env: int, episode: int) -> bool:
        """Return whether rows of an episode can be in a gap."""
        runs = self.by_env.get(env, [])
        after = bisect_left(runs, gap[0], key=lambda run: run.first)
        before_fits = after == 0 or runs[after - 1].high <= episode
        return before_fits and (after == len(runs) or runs[after].low >= episode)


def gap_between(gaps: list[Gap], low: int, high: int) -> bool:
    """Return whether a gap lies between two seq that were received."""
    index = bisect_left(gaps, (low, low))
    return index < len(gaps) and gaps[index][0] < high


def _joined(runs: Iterable[Run], gaps: list[Gap]) -> list[Run]:
    joined: list[Run] = []
    for run in runs:
        if joined and not gap_between(gaps, joined[-1].last, run.first):
            mine = joined[-1]
            ends = (mine.last, mine.high) if mine.last >= run.last else (run.last, run.high)
            joined[-1] = Run(mine.first, ends[0], mine.low, ends[1])
        else:
            joined.append(run)
    return joined
