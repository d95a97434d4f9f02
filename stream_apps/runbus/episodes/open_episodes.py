"""Keeps the open episodes of one stream as arrays over its envs, so that a vector environment is advanced at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.episodes.episode import Episode
from runbus.episodes.words import EpisodeWords
from runbus.streams.segments import Segments

# Columns of `ints`; those from ROWS to BROKEN are `Episode.ints`.
NEWEST, OPEN, ROW_MS, ROWS = range(4)
STEPS, FIRST_SEQ, LAST_SEQ, FIRST_TS, LAST_TS, FIRST_STEP, LAST_STEP, BROKEN = range(4, 12)
INTS = 12
# Columns of `floats`, which are `Episode.floats`.
RETURN, LEAST, MOST = range(3)
FLOATS = 3

NONE = -1

#: Up to so many envs a list is faster than an array.
_FEW = 8


class OpenEpisodes:
    """At most one open episode per env.

    Attributes:
        ints: (envs, INTS) of int64. NEWEST is the highest episode that was seen, -1 = none; OPEN whether it is open;
            ROW_MS the watermark at its last row. LAST_SEQ stays when an episode is closed.
        floats: (envs, FLOATS) of float64.
        extras: env -> sums, of open episodes that have some.
        words: env -> what its rows say in words, likewise.
        count: of open episodes.
    """

    def __init__(self) -> None:
        self.ints: NDArray[np.int64] = np.zeros((0, INTS), np.int64)
        self.floats: NDArray[np.float64] = np.zeros((0, FLOATS))
        self.extras: dict[int, dict[str, float]] = {}
        self.words: dict[int, EpisodeWords] = {}
        self.count = 0

    def reach(self, env: int) -> None:
        """Make room for an env."""
        have = len(self.ints)
        if env < have:
            return
        more = max(env + 1, min(2 * have, env + 64)) - have
        rows = np.zeros((more, INTS), np.int64)
        rows[:, NEWEST] = NONE
        self.ints = np.concatenate((self.ints, rows))
        self.floats = np.concatenate((self.floats, np.zeros((more, FLOATS))))

    def newest(self, env: int) -> tuple[int, bool]:
        """Return the highest episode of an env that was seen, and whether it is open."""
        episode, is_open = self.ints[env, :ROW_MS].tolist()
        return episode, bool(is_open)

    def load(self, env: int) -> Episode:
        """Return the open episode of an env."""
        values: list[Any] = [*self.ints[env, ROWS:].tolist(), *self.floats[env].tolist()]
        values += [self.extras.get(env, {}), self.words.get(env)]
        return Episode(*values)

    def store(self, env: int, episode: int, rows: Episode, now_ms: int) -> None:
        """Make an episode the open one of an env, or replace its rows."""
        line = self.ints[env]
        self.count += not line[OPEN]
        line[:] = (episode, 1, now_ms, *rows.ints)
        self.floats[env] = rows.floats
        if rows.extras:
            self.extras[env] = rows.extras
        if rows.words is not None:
            self.words[env] = rows.words

    def over(self, env: int, episode: int, last_seq: int) -> None:
        """Note that an episode, open or never stored, is the newest of an env and over."""
        line = self.ints[env]
        if line[OPEN]:
            self.count -= 1
            self.extras.pop(env, None)
            self.words.pop(env, None)
        line[NEWEST], line[OPEN], line[LAST_SEQ] = episode, 0, last_seq

    def envs(self) -> list[int]:
        """Return the envs with an open episode."""
        return np.flatnonzero(self.ints[:, OPEN]).tolist() if self.count else []

    def idle_since(self) -> int:
        """Return the watermark at the last row of the open episode that is silent the longest; there must be one."""
        if len(self.ints) <= _FEW:
            return int(min(row_ms for _, is_open, row_ms in self.ints[:, :ROWS].tolist() if is_open))
        return int(self.ints[self.ints[:, OPEN] == 1, ROW_MS].min())

    def silent(self, since_ms: int) -> list[int]:
        """Return the envs whose open episode had no row after this watermark."""
        return np.flatnonzero((self.ints[:, OPEN] == 1) & (self.ints[:, ROW_MS] <= since_ms)).tolist()

    def known(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the envs that had an episode (k,), and their rows of `ints` and `floats`."""
        envs = np.flatnonzero(self.ints[:, NEWEST] >= 0)
        return envs, self.ints[envs], self.floats[envs]

    def restore(self, envs: NDArray[np.int64], ints: NDArray[np.int64], floats: NDArray[np.float64]) -> None:
        """Take back what `known` returned."""
        if not len(envs):
            return
        if int(envs[-1]) + 1 == len(envs):  # every env had an episode
            self.ints, self.floats = ints.copy(), floats.copy()
        else:
            self.reach(int(envs[-1]))
            self.ints[envs], self.floats[envs] = ints, floats
        self.count = sum(self.ints[:, OPEN].tolist())

    def split(self, segs: Segments) -> tuple[NDArray[np.int64], list[int]]:
        """Return the segments that only go on with their env's open episode (and are its only ones), and the others."""
        block = self.ints[segs.env, :ROW_MS]
        plain = (block[:, NEWEST] == segs.episode) & (block[:, OPEN] == 1) & ~(segs.terminated | segs.truncated)
        if bool(plain.all()):  # one episode is open per env, so each env has one segment
            return np.arange(len(segs)), []
        often = np.bincount(segs.env)[segs.env] > 1
        plain &= ~often
        return np.flatnonzero(plain), np.flatnonzero(~plain).tolist()

    def advance(self, segs: Segments, chosen: NDArray[np.int64], now_ms: int) -> None:
        """Append segments, each to the open episode of its env; the envs are distinct and the rows are the newest."""
        whole = len(chosen) == len(segs)
        at = slice(None) if whole else chosen
        envs = segs.env[at]
        ints, floats = self.ints[envs], self.floats[envs]
        ints[:, BROKEN] |= ~segs.contiguous[at] | (segs.first_step[at] <= ints[:, LAST_STEP])
        ints[:, ROW_MS] = now_ms
        ints[:, ROWS] += segs.rows[at]
        ints[:, STEPS] += segs.steps[at]
        ints[:, LAST_SEQ] = segs.last_seq[at]
        ints[:, LAST_TS] = segs.last_ts[at]
        ints[:, LAST_STEP] = segs.last_step[at]
        floats[:, RETURN] += segs.return_[at]
        floats[:, LEAST] = np.minimum(floats[:, LEAST], segs.min_reward[at])
        floats[:, MOST] = np.maximum(floats[:, MOST], segs.max_reward[at])
        self.ints[envs], self.floats[envs] = ints, floats

    def add_extras(self, env: int, sums: dict[str, float]) -> None:
        """Add to the named sums of the open episode of an env."""
        mine = self.extras.setdefault(env, {})
        for name, value in sums.items():
            mine[name] = mine.get(name, 0.0) + value

    def add_words(self, env: int, words: EpisodeWords) -> None:
        """Add what further rows of the open episode of an env say."""
        self.words.setdefault(env, EpisodeWords()).merge(words)
