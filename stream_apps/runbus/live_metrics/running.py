"""The episodes of one stream that run, and how those that ended did: the rules of live totals.

One env runs one episode at a time. It ends

- terminated or truncated, when a row says so; terminated wins where both are said;
- abandoned, when a row of a later episode of its env comes, even if it has only its reset;
- interrupted, when the stream finishes and it has at least one step: a reset at the end is none that was begun.

An ended episode stays as it is: a row that comes for it afterwards is a step of the stream and nothing else. The app
`episodes` revises such an episode; live totals do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from runbus.live_metrics.pieces import EpisodeRows
from runbus.live_metrics.windows import Ended
from runbus.schemas.events import EndReason

#: So many environments of a stream are followed; beyond it the one whose last row is the oldest is forgotten.
MAX_ENVS = 4096

REASONS: tuple[EndReason, ...] = ("terminated", "truncated", "abandoned", "interrupted")
_TERMINATED, _TRUNCATED, _ABANDONED, _INTERRUPTED = range(4)

_ROW = np.dtype([("env", "<i4"), ("episode", "<i8"), ("return", "<f8"), ("length", "<i8"), ("open", "?")])


class Env:
    """The newest episode of one environment: its return and length so far, and whether it is open still."""

    __slots__ = ("episode", "length", "open", "return_")

    def __init__(self, episode: int, return_: float = 0.0, length: int = 0, is_open: bool = True) -> None:
        self.episode = episode
        self.return_ = return_
        self.length = length
        self.open = is_open


class Running:
    """See the module's text.

    Attributes:
        reasons: ended episodes by index in REASONS.
        last_return, last_length: of the episode that ended last; 0 before the first.
    """

    __slots__ = ("_envs", "last_length", "last_return", "reasons")

    def __init__(self) -> None:
        self.reasons = [0] * len(REASONS)
        self.last_return = 0.0
        self.last_length = 0
        self._envs: dict[int, Env] = {}  # in the order of their last rows

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
        """How many episodes run."""
        return sum(env.open for env in self._envs.values())

    def take(self, found: Iterable[EpisodeRows]) -> tuple[list[Ended], int]:
        """Take the pieces of a batch in order; return the episodes that ended, and how many envs were forgotten."""
        ended: list[Ended] = []
        for piece in found:
            env = self._envs.pop(piece.env, None)
            if env is None:
                env = Env(piece.episode)
            elif piece.episode > env.episode:
                if env.open:
                    ended.append(self._end(env, piece.first_ts, _ABANDONED))
                env = Env(piece.episode)
            self._envs[piece.env] = env
            if not env.open or piece.episode < env.episode:
                continue
            env.return_ += piece.return_
            env.length += piece.steps
            if piece.terminated or piece.truncated:
                ended.append(self._end(env, piece.last_ts, _TERMINATED if piece.terminated else _TRUNCATED))
        return ended, self._forget()

    def interrupt(self, ts: int) -> list[Ended]:
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
        self._envs = {number: Env(*values) for number, *values in rows}

    def _newest(self) -> Env | None:
        return next(reversed(self._envs.values()), None)

    def _end(self, env: Env, ts: int, reason: int) -> Ended:
        env.open = False
        self.reasons[reason] += 1
        self.last_return, self.last_length = env.return_, env.length
        return Ended(ts, env.return_, env.length)

    def _forget(self) -> int:
        surplus = len(self._envs) - MAX_ENVS
        for _ in range(surplus):
            del self._envs[next(iter(self._envs))]
        return max(0, surplus)
