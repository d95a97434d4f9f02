"""Records calls of a vector environment: arrays of n rows become one block, without a loop over the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runbus.config.errors import InvalidValue
from runbus.recorder.columns import Block
from runbus.recorder.env_positions import EnvPositions
from runbus.recorder.stream import RecordedStream, checked_tick
from runbus.recorder.values import Capture, as_recordable
from runbus.schemas.layout import NUMERIC_DTYPES, Layout


class VectorStep(NamedTuple):
    """The arguments of `Recorder.step_vector`: row i of each is env i."""

    actions: Any
    rewards: ArrayLike
    terminated: ArrayLike
    truncated: ArrayLike
    observations: Any
    resets: ArrayLike | None
    tick: int | None


class VectorRows:
    """Turns calls of n environments into blocks of one stream.

    Args:
        complain: is told why rows could not be recorded; they are counted already.
    """

    def __init__(self, stream: RecordedStream, complain: Callable[[Exception], None]) -> None:
        self._stream = stream
        self._complain = complain
        self._action = _Column(stream.action)
        self._observation = _Column(stream.observation)
        self._env_columns: dict[int, bytes] = {}

    def step(self, call: VectorStep) -> None:
        """Append a row per env. Raises InvalidValue, TypeError or ValueError if the arrays do not fit each other."""
        rewards = np.asarray(call.rewards, np.float64)
        if rewards.ndim != 1:
            raise InvalidValue(f"rewards have shape {list(rewards.shape)}: one number per environment is needed")
        count = len(rewards)
        if not count:
            return
        at_tick = checked_tick(call.tick)
        with self._stream.lock:
            seen = self._observation.take(call.observations, count)
            did = self._action.take(call.actions, count)
            if seen is None or did is None:
                self._one_by_one(call, count)
                return
            over = _flags(call.terminated, count, "terminated")
            cut = _flags(call.truncated, count, "truncated")
            reset = None if call.resets is None else np.asarray(call.resets, bool)
            if reset is None or not reset.any():
                episode, step = self._stream.positions.step_all(count)
            else:
                rewards, did = _without_actions(reset, rewards, did, self._action.layout)
                episode, step = _advance(self._stream.positions, reset)
            block = Block(
                size=count,
                ts=time.time_ns(),
                tick=at_tick,
                env=self._env_column(count),
                episode=episode,
                step=step,
                reward=rewards.tobytes(),
                terminated=over,
                truncated=cut,
                action=did,
                observation=seen,
            )
            self._stream.append_block(block, self._action.layout, self._observation.layout)

    def reset(
        self,
        observations: Any,  # noqa: ANN401
        seeds: Sequence[int | None] | None,
        mask: ArrayLike | None,
        tick: int | None,
    ) -> None:
        """Append the row of a reset for each env (of `mask`, if given).

        Raises InvalidValue, TypeError or ValueError if it cannot be told which envs those are.
        """
        chosen = _chosen(row_count(observations), mask)
        if not chosen.size:
            return
        try:
            self._reset(observations, seeds, chosen, tick)
        except Exception as error:  # noqa: BLE001 - on any error, these rows and no others were not recorded
            self._stream.refuse_many(chosen, reset=True)
            self._complain(error)

    def _reset(
        self,
        observations: Any,  # noqa: ANN401
        seeds: Sequence[int | None] | None,
        chosen: NDArray[np.int64],
        tick: int | None,
    ) -> None:
        with self._stream.lock:
            seen = self._observation.take(_picked(observations, chosen), len(chosen))
            if seen is None:
                for i in chosen.tolist():
                    with self._counted(i, reset=True):
                        self._stream.reset(_row(observations, i), None if seeds is None else seeds[i], None, i, tick)
                return
            at_tick = checked_tick(tick)
            chosen_seeds = _chosen_seeds(self._stream, seeds, chosen)  # before anything is counted
            episode, step = self._stream.positions.reset_many(chosen)
            zeros = np.zeros(len(chosen))
            block = Block(
                size=len(chosen),
                ts=time.time_ns(),
                tick=at_tick,
                env=chosen.astype(np.int32).tobytes(),
                episode=episode.tobytes(),
                step=step.tobytes(),
                reward=zeros.tobytes(),
                terminated=bytes(len(chosen)),
                truncated=bytes(len(chosen)),
                action=b"",
                observation=seen,
            )
            self._stream.append_block(block, None, self._observation.layout, chosen_seeds)

    def _one_by_one(self, call: VectorStep, count: int) -> None:
        """Record rows whose values are no plain arrays (dicts, text) with the single-step path."""
        rewards, over, cut = (np.asarray(v) for v in (call.rewards, call.terminated, call.truncated))
        reset = np.zeros(count, bool) if call.resets is None else np.asarray(call.resets, bool)
        if reset.shape != (count,):
            raise InvalidValue(f"resets have shape {list(reset.shape)}, must be [{count}]")
        for i in range(count):
            with self._counted(i, reset=bool(reset[i])):
                seen = _row(call.observations, i)
                if reset[i]:
                    self._stream.reset(seen, None, None, i, call.tick)
                else:
                    self._stream.step(_row(call.actions, i), rewards[i], over[i], cut[i], seen, None, i, call.tick)

    @contextmanager
    def _counted(self, env: int, *, reset: bool) -> Iterator[None]:
        """Count the row of `env` as refused if it fails; the others go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - any error of one row's value
            self._stream.refuse(env, reset=reset)
            self._complain(error)

    def _env_column(self, count: int) -> bytes:
        column = self._env_columns.get(count)
        if column is None:
            column = self._env_columns[count] = np.arange(count, dtype=np.int32).tobytes()
        return column


class _Column:
    """Copies an array of n values; knows the layout of one of them."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self.layout = capture.layout

    def take(self, values: Any, count: int) -> bytes | None:  # noqa: ANN401
        """Return the bytes of `count` values, or None if they are not one numeric array."""
        values = _array(values)
        if values is None or values.dtype.str not in NUMERIC_DTYPES or not values.ndim:
            return None
        if values.dtype is not self._dtype or values.shape[1:] != self._shape:
            self._learn(values)
        if len(values) != count:
            raise InvalidValue(f"{len(values)} values for {count} environments")
        if not self.layout.recorded:
            return b""
        raw: bytes = values.tobytes()
        return raw

    def _learn(self, values: NDArray[Any]) -> None:
        self._capture.learn(np.zeros(values.shape[1:], values.dtype))
        self.layout = self._capture.layout
        self._dtype, self._shape = values.dtype, values.shape[1:]


def _array(values: Any) -> NDArray[Any] | None:  # noqa: ANN401
    """Return the array that these values are, or a list of numbers makes; else None."""
    values = as_recordable(values)
    if type(values) is np.ndarray:
        return values
    return np.asarray(values) if isinstance(values, list) and values and _is_number(values[0]) else None


def _picked(values: Any, chosen: NDArray[np.int64]) -> Any:  # noqa: ANN401
    """Return the rows of these envs if the values are one array; else the values."""
    array = _array(values)
    return values if array is None else array[chosen]


def row_count(values: Any) -> int:  # noqa: ANN401
    """Return how many envs these values are of. Raises TypeError if they have no rows."""
    return len(_rows(values))


def _chosen(count: int, mask: ArrayLike | None) -> NDArray[np.int64]:
    """Return the indices of the envs of `mask`, ascending: all without one."""
    if mask is None:
        return np.arange(count)
    flags = np.asarray(mask, bool)
    if flags.shape != (count,):
        raise InvalidValue(f"mask has shape {list(flags.shape)}, must be [{count}]")
    return np.flatnonzero(flags)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.generic))


def _is_batched(values: object) -> bool:
    """Return whether these are batched parts of a Dict or Tuple space, and not a tuple with a value per env."""
    if isinstance(values, Mapping):
        return True
    return isinstance(values, tuple) and bool(values) and isinstance(values[0], (np.ndarray, Mapping, tuple))


def _rows(values: Any) -> Any:  # noqa: ANN401
    """Return something with a row per env: the values themselves, or the first leaf of a dict or tuple of arrays."""
    while _is_batched(values) and len(values):
        values = next(iter(values.values())) if isinstance(values, Mapping) else values[0]
    return values


def _row(values: Any, index: int) -> Any:  # noqa: ANN401
    """Return env `index` of values batched the way Gymnasium's vector environments do."""
    if not _is_batched(values):
        return None if values is None else values[index]
    if isinstance(values, Mapping):
        return {key: _row(part, index) for key, part in values.items()}
    return tuple(_row(part, index) for part in values)


def _flags(values: ArrayLike, count: int, name: str) -> bytes:
    flags = np.asarray(values, bool)
    if flags.shape != (count,):
        raise InvalidValue(f"{name} has shape {list(flags.shape)}, must be [{count}]")
    return flags.tobytes()


def _advance(positions: EnvPositions, reset: NDArray[np.bool_]) -> tuple[bytes, bytes]:
    """Begin an episode in the rows of `reset`, step the others; return the (episode, step) columns as bytes."""
    envs = np.arange(len(reset))
    episode, step = np.empty(len(envs), np.int64), np.empty(len(envs), np.int32)
    episode[reset], step[reset] = positions.reset_many(envs[reset])
    episode[~reset], step[~reset] = positions.step_many(envs[~reset])
    return episode.tobytes(), step.tobytes()


def _without_actions(
    reset: NDArray[np.bool_], rewards: NDArray[np.float64], actions: bytes, layout: Layout
) -> tuple[NDArray[np.float64], bytes]:
    """Return rewards and actions with zeros in the rows of resets (copies)."""
    rows = np.frombuffer(actions, np.uint8).reshape(len(reset), layout.width).copy()
    rows[reset] = 0
    return np.where(reset, 0.0, rewards), rows.tobytes()


def _chosen_seeds(
    stream: RecordedStream, seeds: Sequence[int | None] | None, chosen: NDArray[np.int64]
) -> dict[int, int]:
    if seeds is None:
        return {}
    picked = [(row, seeds[env]) for row, env in enumerate(chosen.tolist())]
    found = {row: stream.seed(seed) for row, seed in picked if seed is not None}
    return {row: seed for row, seed in found.items() if seed is not None}
