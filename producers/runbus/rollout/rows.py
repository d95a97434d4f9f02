"""Hands a rollout to a recorder: which rows there are, and which of them begin or end an episode."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.recorder.recorder import Recorder
from runbus.rollout.arrays import Picked, Rollout, alike, at, mapped, picked_of
from runbus.schemas.layout import Omitted

_NOT_OBSERVED = Omitted()


class RolloutRows:
    """Knows, from one rollout to the next, which environments are in an episode.

    An episode has its reset where the first action of it was chosen, by what was seen there: at the first step of the
    first rollout, behind an end, and where `begins` says so.

    Args:
        recorder: of the rows.
        first: env index of environment 0.
        count: how many environments there are.
        observed: those whose observations and actions are recorded.
    """

    def __init__(self, recorder: Recorder, first: int, count: int, observed: NDArray[np.bool_]) -> None:
        self._recorder = recorder
        self._first = first
        self._groups = [(_picked(mask), full) for mask, full in ((observed, True), (~observed, False)) if mask.any()]
        self._due = np.ones(count, np.bool_)  # whose next row is a reset
        self._begun = np.zeros(count, np.bool_)  # whose newest row is a reset
        self._last: Any = None  # what that reset showed

    def write(self, rollout: Rollout) -> None:
        """Record a rollout: environments that are observed, then the others."""
        if rollout.begins is not None and self._begun.any():
            # Who begins was reset by itself, which is recorded, or by the loop as well: then it sees something else.
            self._begun &= alike(self._last, at(rollout.observations, 0), len(self._begun))
        for envs, full in self._groups:
            _Group(self._recorder, self._first, envs, full).write(rollout, self._due, self._begun)
        self._last = mapped(np.copy, rollout.last) if self._begun.any() else None


class _Group:
    """Some environments of a rollout.

    Args:
        recorder, first: see RolloutRows.
        picked: which.
        full: whether what they saw and did is recorded.
    """

    def __init__(self, recorder: Recorder, first: int, picked: Picked, full: bool) -> None:
        self._recorder = recorder
        self._picked = picked
        self._full = full
        if isinstance(picked, slice):
            self._envs: Any = range(first + picked.start, first + picked.stop)
        else:
            self._envs = picked + first

    def write(self, rollout: Rollout, due: NDArray[np.bool_], begun: NDArray[np.bool_]) -> None:
        """Record these environments' rows; `due` and `begun` of all are brought up to date."""
        mine = picked_of(rollout, self._picked)
        ended = mine.terminated | mine.truncated
        some: list[bool] = np.asarray(ended.any(axis=1)).tolist()
        waiting, fresh = _some(due[self._picked]), _some(begun[self._picked])
        for step, any_ended in enumerate(some):
            begins = _begins(mine.begins, step, waiting, fresh)
            if begins is not None:
                self._recorder.reset_vector(self._values(mine.observations, step), mask=begins, envs=self._envs)
            ends = ended[step] if any_ended else None
            self._step(mine, step, ends)
            waiting, fresh = (ends, None) if mine.following is not None else (None, ends)
        due[self._picked] = False if waiting is None else waiting
        begun[self._picked] = False if fresh is None else fresh

    def _step(self, mine: Rollout, step: int, ends: NDArray[np.bool_] | None) -> None:
        """Record a step, and the resets that are shown behind it."""
        resets = infos = None
        if mine.following is not None:
            shown = self._values(mine.following, step)
        else:  # only what is shown behind a step is known: of an end, that is a reset's
            shown, resets = self._shown(mine, step), ends
            if mine.final is not None and self._full and ends is not None:
                infos = {"final_obs": at(mine.final, step), "_final_obs": ends}
        self._recorder.step_vector(
            self._values(mine.actions, step),
            mine.rewards[step],
            mine.terminated[step],
            mine.truncated[step],
            shown,
            resets=resets,
            infos=infos,
            envs=self._envs,
            extras={name: values[step] for name, values in mine.extras.items()} if mine.extras else None,
        )

    def _values(self, values: Any, step: int) -> Any:  # noqa: ANN401 - values (T, n, ...)
        return at(values, step) if self._full else _NOT_OBSERVED

    def _shown(self, mine: Rollout, step: int) -> Any:  # noqa: ANN401
        """Return what the environments show behind a step: what the next action is chosen by."""
        if not self._full:
            return _NOT_OBSERVED
        return at(mine.observations, step + 1) if step + 1 < len(mine.rewards) else mine.last


def _begins(
    said: NDArray[np.bool_] | None, step: int, waiting: NDArray[np.bool_] | None, fresh: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return who begins an episode at a step: whose reset is due, and who is said to, unless that is recorded."""
    if said is None:
        return waiting
    found = said[step] if fresh is None else said[step] & ~fresh
    return _some(found if waiting is None else found | waiting)


def _some(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return a copy of a mask; None if it is of nobody."""
    return mask.copy() if mask.any() else None


def _picked(mask: NDArray[np.bool_]) -> Picked:
    """Return the environments of a mask: as a slice if they follow one another, which costs no copy."""
    found = np.flatnonzero(mask)
    if found[-1] - found[0] + 1 == len(found):
        return slice(int(found[0]), int(found[-1]) + 1)
    return found
