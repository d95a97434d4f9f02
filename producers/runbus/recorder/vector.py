"""Records calls of a vector environment: arrays of n rows become one block, without a loop over the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runbus.config.errors import InvalidValue
from runbus.recorder.absent import ABSENT
from runbus.recorder.batched import BatchedColumn, Values
from runbus.recorder.columns import NO_NOTES, Block, BlockNotes
from runbus.recorder.env_positions import Envs
from runbus.recorder.fitting import fitted
from runbus.recorder.left_out import mark_name
from runbus.recorder.reading import Reading
from runbus.recorder.stream import RecordedStream, checked_seed, checked_tick
from runbus.recorder.structure import FREE, Structure
from runbus.recorder.values import number
from runbus.recorder.vector_calls import (
    CallRows,
    VectorReset,
    VectorStep,
    env_numbers,
    envs_of,
    info_texts,
    labels_of_rows,
    like,
    number_columns,
    picked_envs,
    picked_rows,
    rows_of_step,
)
from runbus.recorder.vector_infos import NO_INFOS, RowInfos, row_infos
from runbus.schemas.batch import ABSENT_OBSERVATION, NO_TICK
from runbus.schemas.layout import Layout, encode_value

_BOOL = np.dtype(bool)


class Marks:
    """Notes which rows of a call are without a part: name of the mark -> index of the row -> 1."""

    def __init__(self, stream: RecordedStream) -> None:
        self._stream = stream
        self.by_name: dict[str, dict[int, float]] = {}

    def add(self, part: str, flaws: Mapping[int, str]) -> None:
        """Note what is missing in which rows, and why; it is counted."""
        if flaws:
            self.by_name[mark_name(part)] = dict.fromkeys(flaws, 1.0)
            self._stream.counts.leave_out(part, len(flaws))
            self._stream.remark(part, next(iter(flaws.values())))

    def of_row(self, row: int) -> dict[str, float]:
        """Return the marks of one row."""
        return {name: rows[row] for name, rows in self.by_name.items() if row in rows}


class VectorRows:
    """Turns calls of n environments into blocks of one stream.

    Args:
        complain: is told why rows could not be recorded; they are counted already.
    """

    def __init__(self, stream: RecordedStream, complain: Callable[[Exception], None]) -> None:
        self._stream = stream
        self._complain = complain
        self._action = BatchedColumn(stream.action)
        self._observation = BatchedColumn(stream.observation)
        self._env_columns: dict[tuple[int, int], bytes] = {}

    def step(self, call: VectorStep) -> None:
        """Append a row per env; two for an env that ended an episode and shows the reset of the next one.

        Raises InvalidValue or TypeError if it cannot be told which rows those are.
        """
        with self._stream.lock:
            marks = Marks(self._stream)
            rewards, over, cut = self._facts(call, marks)
            if not len(rewards):
                return
            rows = rows_of_step(call, over, cut)
            before = self._stream.produced
            try:
                self._step(call, rows, rewards, marks)
            except BaseException as error:
                self._lost(rows, self._stream.produced - before)
                if not isinstance(error, Exception):
                    raise
                self._complain(error)

    def reset(self, call: VectorReset) -> None:
        """Append the row of a reset for each env (of the mask, if given).

        Raises InvalidValue, TypeError or ValueError if it cannot be told which envs those are.
        """
        values = Values(call.observations, self._stream.observation.structure)
        count = _reset_count(values, call)
        chosen = _chosen(count, call.mask)
        if not chosen.size:
            return
        envs = picked_envs(envs_of(call.envs, count), chosen)
        with self._stream.lock:
            before = self._stream.produced
            try:
                self._reset(call, values, chosen, envs)
            except BaseException as error:
                if self._stream.produced == before:
                    self._stream.refuse_many(envs, np.ones(len(envs), np.bool_))
                if not isinstance(error, Exception):
                    raise
                self._complain(error)

    # --- a step ---------------------------------------------------------------------------------------------------

    def _step(self, call: VectorStep, rows: CallRows, rewards: NDArray[np.float64], marks: Marks) -> None:
        infos = self._infos(call.infos, marks, rows.size)
        seen = self._observation.take(call.observations, rows.size)
        did = self._action.take(call.actions, rows.size)
        extras, flaws = number_columns(call.extras, rows.size) if call.extras else ({}, {})
        marks.add("extras", flaws)
        if seen is None or did is None or (rows.both.size and self._observation.layout.width < 0):
            self._one_by_one(call, rows, rewards, infos, extras, marks)
            return
        self._note(marks, rows.size)
        tick = self._tick(call.tick, marks, rows.size)
        if rows.resets is not None:
            rewards, did = _without_actions(rows.resets, rewards, did, self._action.layout)
        values = _StepValues(rewards, did, seen, extras, tick, marks)
        if rows.both.size:
            self._step_and_reset(call, rows, values, infos)
        else:
            texts = self._texts(infos.infos, marks) if infos.infos else {}
            self._append(rows, values, texts)

    def _facts(
        self, call: VectorStep, marks: Marks
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return rewards and flags of shape (n,); what cannot be read is NaN or false, and marked."""
        rewards, flaws = row_numbers(call.rewards)
        marks.add("reward", flaws)
        over, flaws = row_flags(call.terminated, len(rewards))
        marks.add("terminated", flaws)
        cut, flaws = row_flags(call.truncated, len(rewards))
        marks.add("truncated", flaws)
        return rewards, over, cut

    def _infos(self, infos: Any, marks: Marks, count: int) -> RowInfos:  # noqa: ANN401
        if not infos:
            return NO_INFOS
        try:
            return row_infos(infos, count)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            marks.add("info", dict.fromkeys(range(count), str(error)))
            return NO_INFOS

    def _texts(self, infos: Mapping[int, Mapping[str, Any]], marks: Marks) -> dict[int, str]:
        texts, flaws = info_texts(infos)
        marks.add("info", flaws)
        return texts

    def _note(self, marks: Marks, count: int) -> None:
        """Mark the rows whose actions or observations were left out, all of a call, and pass on other news."""
        for part, column, capture in (
            ("observation", self._observation, self._stream.observation),
            ("action", self._action, self._stream.action),
        ):
            if column.flaw:
                marks.add(part, dict.fromkeys(range(count), column.flaw))
            if capture.news:
                self._stream.remark("layout", f"an {part} {capture.news}")
                capture.news = ""

    def _tick(self, tick: int | None, marks: Marks, count: int) -> int:
        try:
            return NO_TICK if tick is None else checked_tick(tick)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            marks.add("tick", dict.fromkeys(range(count), str(error)))
            return NO_TICK

    def _step_and_reset(self, call: VectorStep, rows: CallRows, values: _StepValues, infos: RowInfos) -> None:
        """Append the last steps of episodes with their own observation or none, then the resets behind them."""
        both, marks = rows.both.tolist(), values.marks
        seen, absent = self._final(call, rows, values.seen, infos)
        others = {row: info for row, info in infos.infos.items() if row not in set(both)}
        texts, begun = self._texts(others | infos.end(both), marks), self._texts(infos.begin(both), marks)
        self._append(rows, values._replace(seen=seen), texts, absent)
        self._append_resets(
            picked_envs(rows.envs, rows.both),
            picked_rows(values.seen, rows.both, rows.size),
            values.tick,
            BlockNotes(infos={index: begun[row] for index, row in enumerate(both) if row in begun}),
        )

    def _final(self, call: VectorStep, rows: CallRows, seen: bytes, infos: RowInfos) -> tuple[bytes, dict[int, int]]:
        """Return the observations with the last ones of the episodes, and the rows whose last one is not known."""
        layout, structure = self._observation.layout, self._stream.observation.structure
        if not layout.recorded:
            return seen, {}
        raw = np.frombuffer(seen, np.uint8).reshape(rows.size, -1).copy()
        shown = Values(call.observations, structure)
        absent: dict[int, int] = {}
        for row in rows.both.tolist():
            found = like(infos.final_observations.get(row), shown.row(row))
            try:
                raw[row] = np.frombuffer(encode_value(layout, fitted(found, structure)), np.uint8)
            except (InvalidValue, ValueError):  # there is none, or it is not an observation of this environment
                raw[row], absent[row] = 0, ABSENT_OBSERVATION
        return raw.tobytes(), absent

    def _append(
        self,
        rows: CallRows,
        values: _StepValues,
        infos: Mapping[int, str],
        absent: Mapping[int, int] | None = None,
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
            values.tick,
            self._env_column(envs),
            episode,
            step,
            values.rewards.tobytes(),
            rows.over,
            rows.cut,
            values.did,
            values.seen,
        )
        notes = NO_NOTES
        if infos or absent or values.marks.by_name or values.extras:
            notes = BlockNotes(infos=infos, absent=absent or {}, marks=values.marks.by_name, extras=values.extras)
        self._stream.append_block(block, self._action.layout, self._observation.layout, notes)

    def _one_by_one(
        self,
        call: VectorStep,
        rows: CallRows,
        rewards: NDArray[np.float64],
        infos: RowInfos,
        extras: Mapping[str, NDArray[np.float64]],
        marks: Marks,
    ) -> None:
        """Record rows whose values are no plain arrays (text, values of several shapes) with the single-step path."""
        shown = _rows_of(call.observations, self._stream.observation.structure, rows.size)
        done = _rows_of(call.actions, self._stream.action.structure, rows.size)
        both, envs = set(rows.both.tolist()), env_numbers(rows.envs)
        ended, began = infos.end(rows.both.tolist()), infos.begin(rows.both.tolist())
        for i, env in enumerate(envs):
            info, flags = infos.infos.get(i), (bool(rows.over[i]), bool(rows.cut[i]))
            self._stream.mark(marks.of_row(i))
            if rows.resets is not None and rows.resets[i]:
                with self._counted(env, reset=True):
                    self._stream.reset(shown(i), None, info, env, call.tick)
                continue
            with self._counted(env, reset=False, flags=flags):
                seen = shown(i)
                if i in both:
                    last = like(infos.final_observations.get(i), seen)
                    seen, info = ABSENT if last is None and seen is not None else last, ended.get(i)
                self._stream.pending += [(name, float(values[i])) for name, values in extras.items()]
                self._stream.step(done(i), rewards[i], *flags, seen, info, env, call.tick)
            if i in both:
                with self._counted(env, reset=True):
                    self._stream.reset(shown(i), None, began.get(i), env, call.tick)

    @contextmanager
    def _counted(self, env: int, *, reset: bool, flags: tuple[object, ...] = ()) -> Iterator[None]:
        """Count the row of `env` as refused if it fails; the others go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - any error of one row's value
            self._stream.refuse(env, reset=reset, flags=flags)
            self._complain(error)

    def _lost(self, rows: CallRows, taken: int) -> None:
        """Count the rows of a call that failed, less those that were taken."""
        if taken:
            self._stream.give_up(rows.size + rows.both.size - taken)
            return
        self._stream.refuse_many(rows.envs, rows.resets, rows.ends)
        if rows.both.size:
            both = picked_envs(rows.envs, rows.both)
            self._stream.refuse_many(both, np.ones(len(both), np.bool_))

    # --- a reset --------------------------------------------------------------------------------------------------

    def _reset(self, call: VectorReset, values: Values, chosen: NDArray[np.int64], envs: NDArray[np.int64]) -> None:
        marks = Marks(self._stream)
        infos = self._infos(call.infos, marks, values.count or len(chosen)).infos
        seen = None if values.flawed else self._observation.take(values.picked(chosen), len(chosen))
        seeds, flaws = _chosen_seeds(call.seeds, chosen)
        labels, unlabelled = labels_of_rows(call.labels, chosen)
        if seen is None:
            for row, (env, i) in enumerate(zip(envs.tolist(), chosen.tolist(), strict=True)):
                with self._counted(env, reset=True):
                    if row in flaws:
                        self._stream.leave_out("seed", flaws[row])
                    if row in unlabelled:
                        self._stream.leave_out("labels", unlabelled[row])
                    self._stream.reset(values.row(i), seeds.get(row), infos.get(i), env, call.tick, labels.get(row))
            return
        marks.add("seed", flaws)
        marks.add("labels", unlabelled)
        self._note(marks, len(chosen))
        tick = self._tick(call.tick, marks, len(chosen))
        texts = self._texts({index: infos[row] for index, row in enumerate(chosen.tolist()) if row in infos}, marks)
        self._append_resets(envs, seen, tick, BlockNotes(seeds=seeds, infos=texts, marks=marks.by_name, labels=labels))

    def _append_resets(self, envs: NDArray[np.int64], seen: bytes, tick: int, notes: BlockNotes) -> None:
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
        self._stream.append_block(block, None, self._observation.layout, notes)

    def _env_column(self, envs: Envs) -> bytes:
        if not isinstance(envs, slice):
            return envs.astype(np.int32).tobytes()
        column = self._env_columns.get((envs.start, envs.stop))
        if column is None:
            column = np.arange(envs.start, envs.stop, dtype=np.int32).tobytes()
            self._env_columns[envs.start, envs.stop] = column
        return column


class _StepValues(NamedTuple):
    """What the rows of a step call hold: numbers, and the bytes of actions and observations."""

    rewards: NDArray[np.float64]
    did: bytes
    seen: bytes
    extras: Mapping[str, NDArray[np.float64]]
    tick: int
    marks: Marks


def _reset_count(values: Values, call: VectorReset) -> int:
    """Return of how many environments a reset call speaks. Raises InvalidValue if nothing says so."""
    if values.count is not None:
        return values.count
    if call.mask is not None:
        return len(np.asarray(call.mask))
    if call.envs is not None:
        return len(call.envs)
    raise InvalidValue("no observations, mask or envs say which environments were reset")


def row_count(values: Any) -> int:  # noqa: ANN401
    """Return how many envs these values are of. Raises InvalidValue if they have no rows."""
    return Values(values, FREE).count or 0


def _rows_of(values: Any, structure: Structure, count: int) -> Callable[[int], Any]:  # noqa: ANN401
    """Return what gives the value of one env: an object that nothing can hold if the values are not of these envs."""
    try:
        read = Values(values, structure)
        if values is None or read.count == count:
            return read.row
    except InvalidValue:
        pass
    return lambda _: values


def _chosen(count: int, mask: ArrayLike | None) -> NDArray[np.int64]:
    """Return the indices of the envs of `mask`, ascending: all without one."""
    if mask is None:
        return np.arange(count)
    flags = np.asarray(mask, bool)
    if flags.shape != (count,):
        raise InvalidValue(f"mask has shape {list(flags.shape)}, must be [{count}]")
    return np.flatnonzero(flags)


def row_numbers(values: Any) -> tuple[NDArray[np.float64], dict[int, str]]:  # noqa: ANN401
    """Return rewards as an array of shape (n,), and why some of them could not be read: these are NaN.

    Raises:
        InvalidValue: it has no rows.
    """
    if type(values) is np.ndarray and values.dtype == np.float64 and values.ndim == 1:
        return values, {}
    plain = Reading().plain(values)
    if isinstance(plain, np.ndarray):
        if plain.ndim == 2 and plain.shape[1] == 1:
            plain = plain[:, 0]
        if plain.ndim == 1:
            return plain.astype(np.float64), {}
    if not isinstance(plain, (np.ndarray, list, tuple)) or (isinstance(plain, np.ndarray) and not plain.ndim):
        raise InvalidValue(f"rewards are a {type(values).__name__}: one number per environment is needed")
    found, flaws = np.full(len(plain), np.nan), {}
    for i, value in enumerate(plain):
        try:
            found[i] = number(value)
        except Exception as error:  # noqa: BLE001 - whatever the environment calls a reward
            flaws[i] = f"{error}. It is stored as NaN"
    return found, flaws


def row_flags(values: Any, count: int) -> tuple[NDArray[np.bool_], dict[int, str]]:  # noqa: ANN401
    """Return flags as an array of shape (count,), and why some of them could not be read: these are false."""
    if type(values) is np.ndarray and values.dtype is _BOOL and values.shape == (count,):
        return values, {}
    if isinstance(values, (list, tuple)) and len(values) == count:
        return _flags_of_list(values)
    try:
        flags = np.asarray(Reading().plain(values), bool)
    except Exception as error:  # noqa: BLE001 - whatever the environment calls flags
        return _unread_flags(count, str(error))
    if flags.shape == (count, 1):
        flags = flags[:, 0]
    if flags.shape != (count,):
        return _unread_flags(count, f"shape {list(flags.shape)}, must be [{count}]")
    return flags, {}


def _flags_of_list(values: list[Any] | tuple[Any, ...]) -> tuple[NDArray[np.bool_], dict[int, str]]:
    found, flaws = np.zeros(len(values), bool), {}
    for i, value in enumerate(values):
        try:
            found[i] = bool(value)
        except Exception as error:  # noqa: BLE001 - whatever the environment calls a flag
            flaws[i] = f"{error}. It is stored as false"
    return found, flaws


def _unread_flags(count: int, why: str) -> tuple[NDArray[np.bool_], dict[int, str]]:
    return np.zeros(count, bool), dict.fromkeys(range(count), f"{why}. It is stored as false")


def _without_actions(
    reset: NDArray[np.bool_], rewards: NDArray[np.float64], actions: bytes, layout: Layout
) -> tuple[NDArray[np.float64], bytes]:
    """Return rewards and actions with zeros in the rows of resets (copies)."""
    if not actions:
        return np.where(reset, 0.0, rewards), actions
    rows = np.frombuffer(actions, np.uint8).reshape(len(reset), layout.width).copy()
    rows[reset] = 0
    return np.where(reset, 0.0, rewards), rows.tobytes()


def _chosen_seeds(
    seeds: Sequence[int | None] | None, chosen: NDArray[np.int64]
) -> tuple[dict[int, int], dict[int, str]]:
    """Return the seeds by row, and why some of them cannot be kept."""
    found: dict[int, int] = {}
    flaws: dict[int, str] = {}
    for row, env in enumerate(chosen.tolist()) if seeds is not None else ():
        try:
            seed = seeds[env]  # type: ignore[index]  # there are seeds
            if seed is not None:
                found[row] = checked_seed(seed)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            flaws[row] = str(error)
    return found, flaws
