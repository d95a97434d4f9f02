"""Records calls of a vector environment: arrays of n rows become one block, without a loop over the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runbus.config.errors import InvalidValue
from runbus.recorder.batched import BatchedColumn, Values
from runbus.recorder.columns import Block
from runbus.recorder.env_positions import EnvPositions
from runbus.recorder.left_out import mark_name
from runbus.recorder.reading import Reading
from runbus.recorder.stream import RecordedStream, checked_seed, checked_tick
from runbus.recorder.structure import FREE, Structure
from runbus.recorder.values import number
from runbus.schemas.batch import NO_TICK
from runbus.schemas.layout import Layout

Marks = dict[str, dict[int, float]]  # which rows of a call are without a part, by the name of the mark
_BOOL = np.dtype(bool)


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
        self._action = BatchedColumn(stream.action)
        self._observation = BatchedColumn(stream.observation)
        self._env_columns: dict[int, bytes] = {}

    def step(self, call: VectorStep) -> None:
        """Append a row per env. Raises InvalidValue or TypeError if it cannot be told which envs those are."""
        with self._stream.lock:
            marks: Marks = {}
            rewards, over, cut = self._facts(call, marks)
            if len(rewards):
                with self._whole(len(rewards)):
                    self._step(call, rewards, over, cut, marks)

    def _step(
        self,
        call: VectorStep,
        rewards: NDArray[np.float64],
        over: NDArray[np.bool_],
        cut: NDArray[np.bool_],
        marks: Marks,
    ) -> None:
        count = len(rewards)
        seen = self._observation.take(call.observations, count)
        did = self._action.take(call.actions, count)
        if seen is None or did is None:
            self._one_by_one(call, rewards, over, cut, marks)
            return
        self._note(marks, count)
        reset = None if call.resets is None else np.asarray(call.resets, bool)
        at_tick = self._tick(call.tick, marks, count)
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
            terminated=over.tobytes(),
            truncated=cut.tobytes(),
            action=did,
            observation=seen,
        )
        self._stream.append_block(block, self._action.layout, self._observation.layout, marks=marks)

    @contextmanager
    def _whole(self, count: int) -> Iterator[None]:
        """Count as dropped what an interrupt leaves of `count` rows: the caller cannot know which were made."""
        before = self._stream.produced
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self._stream.give_up(before + count - self._stream.produced)
            raise

    def _facts(
        self, call: VectorStep, marks: Marks
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return rewards and flags of shape (n,); what cannot be read is NaN or false, and marked."""
        rewards, flaws = row_numbers(call.rewards)
        self._mark(marks, "reward", flaws)
        over, flaws = row_flags(call.terminated, len(rewards))
        self._mark(marks, "terminated", flaws)
        cut, flaws = row_flags(call.truncated, len(rewards))
        self._mark(marks, "truncated", flaws)
        return rewards, over, cut

    def _note(self, marks: Marks, count: int) -> None:
        """Mark the rows whose actions or observations were left out, all of a call, and pass on other news."""
        for part, column, capture in (
            ("observation", self._observation, self._stream.observation),
            ("action", self._action, self._stream.action),
        ):
            if column.flaw:
                self._mark(marks, part, dict.fromkeys(range(count), column.flaw))
            if capture.news:
                self._stream.remark("layout", f"an {part} {capture.news}")
                capture.news = ""

    def _tick(self, tick: int | None, marks: Marks, count: int) -> int:
        try:
            return NO_TICK if tick is None else checked_tick(tick)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            self._mark(marks, "tick", dict.fromkeys(range(count), str(error)))
            return NO_TICK

    def _mark(self, marks: Marks, part: str, flaws: Mapping[int, str]) -> None:
        if flaws:
            marks[mark_name(part)] = dict.fromkeys(flaws, 1.0)
            self._stream.counts.leave_out(part, len(flaws))
            self._stream.remark(part, next(iter(flaws.values())))

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
        values = Values(observations, self._stream.observation.structure)
        chosen = _chosen(values.count or 0, mask)
        if not chosen.size:
            return
        try:
            self._reset(values, seeds, chosen, tick)
        except Exception as error:  # noqa: BLE001 - on any error, these rows and no others were not recorded
            self._stream.refuse_many(chosen, reset=True)
            self._complain(error)

    def _reset(
        self,
        values: Values,
        seeds: Sequence[int | None] | None,
        chosen: NDArray[np.int64],
        tick: int | None,
    ) -> None:
        with self._stream.lock, self._whole(len(chosen)):
            seen = None if values.flawed else self._observation.take(values.picked(chosen), len(chosen))
            chosen_seeds, flaws = _chosen_seeds(seeds, chosen)
            if seen is None:
                for row, i in enumerate(chosen.tolist()):
                    with self._counted(i, reset=True):
                        if row in flaws:
                            self._stream.leave_out("seed", flaws[row])
                        self._stream.reset(values.row(i), chosen_seeds.get(row), None, i, tick)
                return
            marks: Marks = {}
            self._mark(marks, "seed", flaws)
            self._note(marks, len(chosen))
            at_tick = self._tick(tick, marks, len(chosen))
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
            self._stream.append_block(block, None, self._observation.layout, chosen_seeds, marks)

    def _one_by_one(
        self,
        call: VectorStep,
        rewards: NDArray[np.float64],
        over: NDArray[np.bool_],
        cut: NDArray[np.bool_],
        marks: Marks,
    ) -> None:
        """Record rows whose values are no plain arrays (text, values of several shapes) with the single-step path."""
        count = len(rewards)
        reset = np.zeros(count, bool) if call.resets is None else np.asarray(call.resets, bool)
        if reset.shape != (count,):
            raise InvalidValue(f"resets have shape {list(reset.shape)}, must be [{count}]")
        shown = _rows_of(call.observations, self._stream.observation.structure, count)
        done = _rows_of(call.actions, self._stream.action.structure, count)
        for i in range(count):
            with self._counted(i, reset=bool(reset[i])):
                self._stream.mark({name: rows[i] for name, rows in marks.items() if i in rows})
                if reset[i]:
                    self._stream.reset(shown(i), None, None, i, call.tick)
                else:
                    self._stream.step(done(i), rewards[i], over[i], cut[i], shown(i), None, i, call.tick)

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
        return _no_flags(count, str(error))
    if flags.shape == (count, 1):
        flags = flags[:, 0]
    if flags.shape != (count,):
        return _no_flags(count, f"shape {list(flags.shape)}, must be [{count}]")
    return flags, {}


def _flags_of_list(values: list[Any] | tuple[Any, ...]) -> tuple[NDArray[np.bool_], dict[int, str]]:
    found, flaws = np.zeros(len(values), bool), {}
    for i, value in enumerate(values):
        try:
            found[i] = bool(value)
        except Exception as error:  # noqa: BLE001 - whatever the environment calls a flag
            flaws[i] = f"{error}. It is stored as false"
    return found, flaws


def _no_flags(count: int, why: str) -> tuple[NDArray[np.bool_], dict[int, str]]:
    return np.zeros(count, bool), dict.fromkeys(range(count), f"{why}. It is stored as false")


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
