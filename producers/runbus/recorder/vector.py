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
from runbus.recorder.env_positions import Envs
from runbus.recorder.stream import RecordedStream, checked_seed, checked_tick
from runbus.recorder.values import Capture, as_recordable
from runbus.recorder.vector_calls import (
    NO_ROWS,
    CallRows,
    VectorReset,
    VectorStep,
    env_numbers,
    envs_of,
    fitted,
    info_texts,
    named_numbers,
    picked_envs,
    picked_rows,
    rows_of_step,
)
from runbus.recorder.vector_infos import NO_INFOS, RowInfos, row_infos
from runbus.schemas.layout import NUMERIC_DTYPES, Layout, encode_value


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
        self._env_columns: dict[tuple[int, int], bytes] = {}

    def step(self, call: VectorStep) -> None:
        """Append a row per env; two for an env that ended an episode and shows the reset of the next one.

        Raises InvalidValue, TypeError or ValueError if it cannot be told which rows those are.
        """
        rewards = np.asarray(call.rewards, np.float64)
        if rewards.ndim != 1:
            raise InvalidValue(f"rewards have shape {list(rewards.shape)}: one number per environment is needed")
        if not len(rewards):
            return
        with self._stream.lock:
            rows = rows_of_step(call, len(rewards))
            try:
                self._step(call, rows, rewards)
            except Exception as error:  # noqa: BLE001 - on any error, these rows and no others were not recorded
                self._stream.refuse_many(rows.envs, rows.resets, rows.ends)
                if rows.both.size:
                    both = picked_envs(rows.envs, rows.both)
                    self._stream.refuse_many(both, np.ones(len(both), np.bool_))
                self._complain(error)

    def reset(self, call: VectorReset) -> None:
        """Append the row of a reset for each env (of the mask, if given).

        Raises InvalidValue, TypeError or ValueError if it cannot be told which envs those are.
        """
        count = row_count(call.observations)
        chosen = _chosen(count, call.mask)
        if not chosen.size:
            return
        envs = picked_envs(envs_of(call.envs, count), chosen)
        try:
            self._reset(call, count, chosen, envs)
        except Exception as error:  # noqa: BLE001 - on any error, these rows and no others were not recorded
            self._stream.refuse_many(envs, np.ones(len(envs), np.bool_))
            self._complain(error)

    # --- a step ---------------------------------------------------------------------------------------------------

    def _step(self, call: VectorStep, rows: CallRows, rewards: NDArray[np.float64]) -> None:
        at_tick = checked_tick(call.tick)
        infos = row_infos(call.infos, rows.size) if call.infos else NO_INFOS
        seen = self._observation.take(call.observations, rows.size)
        did = self._action.take(call.actions, rows.size)
        if seen is None or did is None or (rows.both.size and self._observation.layout.width < 0):
            self._one_by_one(call, rows, infos)
            return
        if rows.resets is not None:
            rewards, did = _without_actions(rows.resets, rewards, did, self._action.layout)
        extras = named_numbers(call.extras, rows.size) if call.extras else None
        if rows.both.size:
            self._step_and_reset(call, rows, _Values(rewards, did, seen), infos, extras or {}, at_tick)
        else:
            texts = info_texts(infos.infos) if infos.infos else None
            self._append(rows, rewards, did, seen, self._observation.layout, at_tick, texts, extras)

    def _step_and_reset(
        self,
        call: VectorStep,
        rows: CallRows,
        values: _Values,
        infos: RowInfos,
        extras: dict[str, NDArray[np.float64]],
        tick: int,
    ) -> None:
        """Append the last steps of episodes with their own observation or none, then the resets behind them."""
        both, layout = rows.both.tolist(), self._observation.layout
        seen, unseen = self._final(call, rows, values.seen, infos)
        others = {row: info for row, info in infos.infos.items() if row not in set(both)}
        texts, begun = info_texts(others | infos.end(both)), info_texts(infos.begin(both))
        steps = np.setdiff1d(np.arange(rows.size), unseen)
        for picked, shown in ((steps, layout), (unseen, without_observation(layout))):
            if picked.size:
                self._append(
                    rows.picked(picked),
                    values.rewards[picked],
                    picked_rows(values.did, picked, rows.size),
                    picked_rows(seen, picked, rows.size) if shown.recorded else b"",
                    shown,
                    tick,
                    {index: texts[row] for index, row in enumerate(picked.tolist()) if row in texts},
                    {name: numbers[picked] for name, numbers in extras.items()},
                )
        self._append_resets(
            picked_envs(rows.envs, rows.both),
            picked_rows(values.seen, rows.both, rows.size),
            tick,
            infos={index: begun[row] for index, row in enumerate(both) if row in begun},
        )

    def _final(self, call: VectorStep, rows: CallRows, seen: bytes, infos: RowInfos) -> tuple[bytes, NDArray[np.intp]]:
        """Return the observations with the last ones of the episodes, and the rows whose last one is not known."""
        layout = self._observation.layout
        if not layout.recorded:
            return seen, NO_ROWS
        raw = np.frombuffer(seen, np.uint8).reshape(rows.size, -1).copy()
        unseen = []
        for row in rows.both.tolist():
            found = fitted(infos.final_observations.get(row), _row(call.observations, row))
            try:
                raw[row] = np.frombuffer(encode_value(layout, found), np.uint8)
            except InvalidValue:  # there is none, or it is not an observation of this environment
                unseen.append(row)
        return raw.tobytes(), np.array(unseen, np.intp)

    def _append(
        self,
        rows: CallRows,
        rewards: NDArray[np.float64],
        did: bytes,
        seen: bytes,
        layout: Layout,
        tick: int,
        infos: Mapping[int, str] | None,
        extras: Mapping[str, NDArray[np.float64]] | None,
    ) -> None:
        """Append a row of each env."""
        envs = rows.envs
        if isinstance(envs, slice) and rows.resets is None:
            episode, step = self._stream.positions.step_all(envs, rows.ends)
        else:
            episodes, steps = self._stream.positions.advance(envs, resets=rows.resets, ends=rows.ends)
            episode, step = episodes.tobytes(), steps.tobytes()
        block = Block(
            rows.size,
            time.time_ns(),
            tick,
            self._env_column(envs),
            episode,
            step,
            rewards.tobytes(),
            rows.over,
            rows.cut,
            did,
            seen,
        )
        self._stream.append_block(block, self._action.layout, layout, infos=infos, extras=extras)

    def _one_by_one(self, call: VectorStep, rows: CallRows, infos: RowInfos) -> None:
        """Record rows whose values are no plain arrays (dicts, text) with the single-step path."""
        rewards, over, cut = (np.asarray(v) for v in (call.rewards, call.terminated, call.truncated))
        extras = named_numbers(call.extras, rows.size) if call.extras else {}
        both, envs = set(rows.both.tolist()), env_numbers(rows.envs)
        ended, began = infos.end(rows.both.tolist()), infos.begin(rows.both.tolist())
        for i, env in enumerate(envs):
            seen, info = _row(call.observations, i), infos.infos.get(i)
            if rows.resets is not None and rows.resets[i]:
                with self._counted(env, reset=True):
                    self._stream.reset(seen, None, info, env, call.tick)
                continue
            last, said = seen, info
            if i in both:
                last, said = fitted(infos.final_observations.get(i), seen), ended.get(i)
            with self._counted(env, reset=False, flags=(over[i], cut[i])):
                numbers = {name: values[i] for name, values in extras.items()}
                did = _row(call.actions, i)
                self._stream.step(did, rewards[i], over[i], cut[i], last, said, env, call.tick, numbers)
            if i in both:
                with self._counted(env, reset=True):
                    self._stream.reset(seen, None, began.get(i), env, call.tick)

    @contextmanager
    def _counted(self, env: int, *, reset: bool, flags: tuple[object, ...] = ()) -> Iterator[None]:
        """Count the row of `env` as refused if it fails; the others go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - any error of one row's value
            self._stream.refuse(env, reset=reset, flags=flags)
            self._complain(error)

    # --- a reset --------------------------------------------------------------------------------------------------

    def _reset(self, call: VectorReset, count: int, chosen: NDArray[np.int64], envs: NDArray[np.int64]) -> None:
        infos = row_infos(call.infos, count).infos
        with self._stream.lock:
            seen = self._observation.take(_picked(call.observations, chosen), len(chosen))
            if seen is None:
                for env, i in zip(envs.tolist(), chosen.tolist(), strict=True):
                    seed = None if call.seeds is None else call.seeds[i]
                    with self._counted(env, reset=True):
                        self._stream.reset(_row(call.observations, i), seed, infos.get(i), env, call.tick)
                return
            at_tick, seeds = checked_tick(call.tick), _chosen_seeds(call.seeds, chosen)  # before anything is counted
            texts = info_texts({index: infos[row] for index, row in enumerate(chosen.tolist()) if row in infos})
            self._append_resets(envs, seen, at_tick, seeds=seeds, infos=texts)

    def _append_resets(
        self,
        envs: NDArray[np.int64],
        seen: bytes,
        tick: int,
        *,
        seeds: Mapping[int, int] | None = None,
        infos: Mapping[int, str] | None = None,
    ) -> None:
        episode, step = self._stream.positions.reset_many(envs)
        block = Block(
            size=len(envs),
            ts=time.time_ns(),
            tick=tick,
            env=envs.astype(np.int32).tobytes(),
            episode=episode.tobytes(),
            step=step.tobytes(),
            reward=np.zeros(len(envs)).tobytes(),
            terminated=bytes(len(envs)),
            truncated=bytes(len(envs)),
            action=b"",
            observation=seen,
        )
        self._stream.append_block(block, None, self._observation.layout, seeds=seeds, infos=infos)

    def _env_column(self, envs: Envs) -> bytes:
        if not isinstance(envs, slice):
            return envs.astype(np.int32).tobytes()
        column = self._env_columns.get((envs.start, envs.stop))
        if column is None:
            column = np.arange(envs.start, envs.stop, dtype=np.int32).tobytes()
            self._env_columns[envs.start, envs.stop] = column
        return column


class _Values(NamedTuple):
    """The numbers of a step call, and the bytes of its actions and observations."""

    rewards: NDArray[np.float64]
    did: bytes
    seen: bytes


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


def _without_actions(
    reset: NDArray[np.bool_], rewards: NDArray[np.float64], actions: bytes, layout: Layout
) -> tuple[NDArray[np.float64], bytes]:
    """Return rewards and actions with zeros in the rows of resets (copies)."""
    rows = np.frombuffer(actions, np.uint8).reshape(len(reset), layout.width).copy()
    rows[reset] = 0
    return np.where(reset, 0.0, rewards), rows.tobytes()


def _chosen_seeds(seeds: Sequence[int | None] | None, chosen: NDArray[np.int64]) -> dict[int, int]:
    if seeds is None:
        return {}
    picked = [(row, seeds[env]) for row, env in enumerate(chosen.tolist())]
    return {row: checked_seed(seed) for row, seed in picked if seed is not None}


def without_observation(layout: Layout) -> Layout:
    """Return the layout of rows whose observation exists and is not known, in a stream of this layout.

    The wire format has no row without an observation inside of a batch yet: such rows are a batch of their own, whose
    layout says that there was one and that it was not recorded.
    """
    return layout.omitted()
