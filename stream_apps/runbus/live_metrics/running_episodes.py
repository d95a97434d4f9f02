"""Keeps the running episodes of one stream, and the totals of those that ended: the rules of live totals.

One env runs one episode at a time. It ends

- terminated or truncated, when a row has that flag; terminated wins over truncated;
- abandoned, when a row of a later episode of its env comes, even if it has only its reset;
- interrupted, when the stream finishes and it has at least one step: a reset at the end begins no episode.

An ended episode stays as it is: a row that comes for it afterwards counts as a step of the stream only. The app
`episodes` revises such an episode; live totals do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from runbus.live_metrics.episode_rows import EpisodeRows
from runbus.live_metrics.windows import EndedEpisode
from runbus.schemas.events import EndReason

#: So many environments of a stream are followed; beyond that, the one whose last row is the oldest is forgotten.
MAX_ENVS = 4096

REASONS: tuple[EndReason, ...] = ("terminated", "truncated", "abandoned", "interrupted")
_TERMINATED, _TRUNCATED, _ABANDONED, _INTERRUPTED = range(4)

_ROW = np.dtype([("env", "<i4"), ("episode", "<i8"), ("return", "<f8"), ("length", "<i8"), ("open", "?")])


@dataclass(slots=True, eq=False)
class EnvEpisode:
    """The newest episode of one environment: its return and length so far, and whether it is open still."""

    episode: int
    return_: float = 0.0
    length: int = 0
    open: bool = True


class RunningEpisodes:
    """The running episodes of one stream.

    Attributes:
        reasons: ended episodes by index in REASONS.
        last_return, last_length: of the episode that ended last; 0 before the first.
    """

    __slots__ = ("_envs", "last_length", "last_return", "reasons")

    def __init__(self) -> None:
        self.reasons = [0] * len(REASONS)
        self.last_return = 0.0
        self.last_length = 0
        self._envs: dict[int, EnvEpisode] = {}  # in the order of their last rows

    @property
    def return_(self) -> float:
        """Return so far of the episode of the env whose row came last; 0 once that ended."""
        env = self._newest()
        return env.return_ if env is not None and env.open else 0.0

    @property
    def length(self) -> int:
        """Length so far of the same episode; 0 once that ended."""
        env = self._newest()
        return env.length if env is not None and env.open else 0

    @property
    def open_episodes(self) -> int:
        """The number of running episodes."""
        return sum(env.open for env in self._envs.values())

    def take(self, batch: Iterable[EpisodeRows]) -> tuple[list[EndedEpisode], int]:
        """Take the rows of a batch in order; return the episodes that ended, and how many envs were forgotten."""
        ended: list[EndedEpisode] = []
        for rows in batch:
            env = self._envs.pop(rows.env, None)
            if env is None:
                env = EnvEpisode(rows.episode)
            elif rows.episode > env.episode:
                if env.open:
                    ended.append(self._end(env, rows.first_ts, _ABANDONED))
                env = EnvEpisode(rows.episode)
            self._envs[rows.env] = env
            if not env.open or rows.episode < env.episode:
                continue
            env.return_ += rows.return_
            env.length += rows.steps
            if rows.terminated or rows.truncated:
                ended.append(self._end(env, rows.last_ts, _TERMINATED if rows.terminated else _TRUNCATED))
        return ended, self._forget()

    def interrupt(self, ts: int) -> list[EndedEpisode]:
        """End what is open, at `ts`; return the episodes that had a step."""
        still_open = [env for env in self._envs.values() if env.open]
        return [self._end(env, ts, _INTERRUPTED) for env in still_open if env.length]

    def encode(self) -> bytes:
        """Return the environments as bytes, for the state."""
        rows = [(number, e.episode, e.return_, e.length, e.open) for number, e in self._envs.items()]
        return np.array(rows, _ROW).tobytes()

    def restore(self, data: bytes) -> None:
        """Take back what `encode` returned. Raises ValueError if it is something else."""
        rows: list[Any] = np.frombuffer(data, _ROW).tolist()
        self._envs = {number: EnvEpisode(*values) for number, *values in rows}

    def _newest(self) -> EnvEpisode | None:
        return next(reversed(self._envs.values()), None)

    def _end(self, env: EnvEpisode, ts: int, reason: int) -> EndedEpisode:
        env.open = False
        self.reasons[reason] += 1
        self.last_return, self.last_length = env.return_, env.length
        return EndedEpisode(ts, env.return_, env.length)

    def _forget(self) -> int:
        surplus = len(self._envs) - MAX_ENVS
        for _ in range(surplus):
            del self._envs[next(iter(self._envs))]
        return max(0, surplus)
