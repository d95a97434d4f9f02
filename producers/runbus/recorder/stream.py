"""Fills the open batch of a stream with the loop's rows, and closes it by size, or by age when the ticker asks."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.recorder.absent import ABSENT
from runbus.recorder.annotations import Annotation, LeaveOut
from runbus.recorder.columns import FACTS, Block
from runbus.recorder.env_positions import EnvPositions
from runbus.recorder.events import StepsRecorded, StreamCounts
from runbus.recorder.logged import MAX_WAITING, Numbers, by_name, numbers_of
from runbus.recorder.text import json_text
from runbus.recorder.values import Capture, Observations, as_is, chooser, number
from runbus.schemas.batch import ABSENT_ACTION, ABSENT_OBSERVATION, NO_TICK
from runbus.schemas.layout import Layout

MAX_STEPS = 256
MAX_BYTES = 256 * 1024
ROW_BYTES = 150  # what one row takes beside its payload: its facts, two bytes objects, two list entries
_ENVS = 2**31
_pack_facts, _now_ns = FACTS.pack, time.time_ns  # looked up once: this is the loop's time
_INT64 = range(-(2**63) + 1, 2**63)

Publish = Callable[[StepsRecorded], None]


class RecordedStream:
    """Takes the steps of one (run, agent, attempt) and publishes them in batches, in order.

    The methods raise InvalidValue, TypeError, ValueError or OverflowError for a value that cannot be recorded; nothing
    is recorded then, and the caller reports it to `refuse`.

    Args:
        publish: gets each closed batch, under the stream's lock, so that batches stay in order.
        leave_out: is told which part of a row cannot be recorded, and why; the row is recorded without it.
    """

    def __init__(
        self,
        id_: StreamId,
        observations: Observations,
        publish: Publish,
        leave_out: LeaveOut = lambda _part, _why: None,
    ) -> None:
        self.counts = StreamCounts(id_)
        self.positions = EnvPositions()
        self.lock = threading.RLock()
        self._publish = publish
        self.leave_out = leave_out
        self.observation = Capture(chooser(observations))
        self.action = Capture(as_is)
        self._open = StepsRecorded(self.counts)
        self._first_seq = 0
        self._seen_by_ticker = -1
        #: named numbers that wait for the next row, in the order in which they were logged
        self.pending: Numbers = []

    def step(  # noqa: PLR0913, PLR0917 - by position: this is the loop's time
        self,
        action: Any,  # noqa: ANN401
        reward: Any,  # noqa: ANN401
        terminated: Any,  # noqa: ANN401
        truncated: Any,  # noqa: ANN401
        observation: Any,  # noqa: ANN401
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
        note: Annotation | None = None,
    ) -> int:
        """Append one step and return its seq. See Recorder.step."""
        with self.lock:
            seen = b"" if observation is ABSENT else self.observation.pack(observation)
            if seen is None:
                seen = self.observation.learn(observation)
            did = b"" if action is ABSENT else self.action.pack(action)
            if did is None:
                did = self.action.learn(action)
            if type(reward) is not float:
                reward = number(reward)
            at_tick = checked_tick(tick)
            said = None if info is None else json_text(info)
            if type(env) is not int or not -1 < env < _ENVS:
                env = _checked(env, range(_ENVS), "env")
            batch = self._open
            if self.observation.layout is not batch.observation or self.action.layout is not batch.action:
                batch = self._batch_for(self.observation.layout, self.action.layout)
            elif batch.blocks:
                batch = self._batch_for(batch.observation, batch.action)
            over, cut = (True if terminated else False), (True if truncated else False)  # noqa: SIM210 - half of bool()
            episode, step = self.positions.step(env)
            if said is not None:
                batch.infos[batch.count] = said
            if self.pending:
                self._attach_pending(batch, batch.count)
            if note is not None:
                batch.annotations.take(batch.count, note)
            if not (seen and did) and (observation is ABSENT or action is ABSENT):
                batch.annotations.absent[batch.count] = _absent(observation, action)
            rows = batch.rows
            rows.facts += _pack_facts(env, episode, step, _now_ns(), reward, over, cut, at_tick)
            rows.actions.append(did)
            rows.observations.append(seen)
            batch.count = count = batch.count + 1
            batch.nbytes = nbytes = batch.nbytes + len(did) + len(seen)
            seq = self._first_seq + count - 1
            if count >= MAX_STEPS or nbytes >= MAX_BYTES:
                self.close()
            return seq

    def reset(
        self,
        observation: Any,  # noqa: ANN401
        seed: int | None,
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
        note: Annotation | None = None,
    ) -> int:
        """Append the row of a reset and return its seq. See Recorder.reset."""
        with self.lock:
            seen = b"" if observation is ABSENT else self.observation.pack(observation)
            if seen is None:
                seen = self.observation.learn(observation)
            at_tick = checked_tick(tick)
            said = None if info is None else json_text(info)
            checked = None if seed is None else self.seed(seed)
            env = _checked(env, range(_ENVS), "env")
            batch = self._batch_for(self.observation.layout, None)
            episode, step = self.positions.reset(env)
            if checked is not None:
                batch.seeds[batch.count] = checked
            if said is not None:
                batch.infos[batch.count] = said
            if self.pending:
                self._attach_pending(batch, batch.count)
            if note is not None:
                batch.annotations.take(batch.count, note)
            if observation is ABSENT:
                batch.annotations.absent[batch.count] = ABSENT_OBSERVATION
            batch.rows.facts += _pack_facts(env, episode, step, _now_ns(), 0.0, False, False, at_tick)
            batch.rows.actions.append(b"")
            batch.rows.observations.append(seen)
            seq = self._first_seq + batch.count
            self._added(batch, 1, len(seen))
            return seq

    def log(self, values: Mapping[Any, Any]) -> dict[str, float]:
        """Keep named numbers for the next row; return the last of each name. Raises what `values` raises."""
        with self.lock:
            found = numbers_of(values, MAX_WAITING - len(self.pending), self.leave_out)
            self.pending += found
            if len(self._open.logged) + len(self.pending) > MAX_WAITING:  # so that a batch can hold all their names
                self.close()
            return dict(found)

    def take_pending(self) -> dict[str, list[float]]:
        """Return the numbers that no row took, by name, and forget them."""
        with self.lock:
            pending, self.pending = self.pending, []
            return by_name(pending)

    def seed(self, seed: Any) -> int | None:  # noqa: ANN401 - an integer of any type
        """Return the seed, of any size; None if it is no integer, which is said."""
        try:
            return operator.index(seed)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            self.leave_out("seed", f"{error}. Pass an integer")
            return None

    def refuse(self, env: object, *, reset: bool) -> None:
        """Count one row that could not be recorded: it takes a seq and is dropped, so the gap is accounted for."""
        with self.lock:
            if isinstance(env, int) and 0 <= env < _ENVS:
                (self.positions.reset if reset else self.positions.step)(env)
            self._give_up(1)

    def refuse_many(self, envs: NDArray[np.int64], *, reset: bool) -> None:
        """Count the rows of a vector call that could not be recorded: one of each of `envs`."""
        with self.lock:
            (self.positions.reset_many if reset else self.positions.step_many)(envs)
            self._give_up(len(envs))

    def _give_up(self, count: int) -> None:
        self.close()
        self._first_seq += count
        self.counts.produced = self._first_seq
        self.counts.drop(count)

    def append_block(
        self,
        block: Block,
        action: Layout | None,
        observation: Layout,
        seeds: Mapping[int, int] | None = None,
        notes: Mapping[int, Annotation] | None = None,
        absent: Mapping[int, int] | None = None,
    ) -> None:
        """Append one call of a vector environment, already in columns.

        Args:
            seeds, notes: by index in the block.
            absent: ABSENT_OBSERVATION and ABSENT_ACTION of the rows without these values, by index in the block.
        """
        with self.lock:
            batch = self._batch_for(observation, action, blocks=True)
            batch.blocks.append(block)
            if seeds:
                batch.seeds.update({batch.count + index: seed for index, seed in seeds.items()})
            for index, annotation in (notes or {}).items():
                batch.annotations.take(batch.count + index, annotation)
            if absent:
                batch.annotations.absent.update({batch.count + index: bits for index, bits in absent.items()})
            if self.pending:
                self._attach_pending(batch, batch.count)
            self._added(batch, block.size, len(block.action) + len(block.observation))

    @property
    def produced(self) -> int:
        """Steps taken so far: the next seq."""
        with self.lock:
            return self._first_seq + self._open.count

    def close(self) -> None:
        """Publish the open batch, if it has rows."""
        with self.lock:
            batch = self._open
            if batch.count == 0:
                return
            batch.first_seq = self._first_seq
            self._first_seq += batch.count
            self.counts.produced = self._first_seq
            self._open = StepsRecorded(self.counts, observation=batch.observation, action=batch.action)
            overhead = ROW_BYTES * len(batch.rows.actions) + 38 * sum(block.size for block in batch.blocks)
            overhead += sum(map(len, batch.infos.values())) + 100 * sum(map(len, batch.extras.values()))
            overhead += 100 * len(batch.logged) + batch.annotations.size
            batch.nbytes += overhead
            batch.closed_at = time.monotonic()
            self._publish(batch)

    def close_if_old(self) -> None:
        """Publish the open batch if it was already open at the call before. Skips a stream that is busy."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if self._open.count and self._seen_by_ticker == self._first_seq:
                self.close()
            self._seen_by_ticker = self._first_seq if self._open.count else -1
        finally:
            self.lock.release()

    def _batch_for(self, observation: Layout, action: Layout | None, *, blocks: bool = False) -> StepsRecorded:
        """Return the open batch, or a new one if these layouts cannot share the open one."""
        batch = self._open
        if batch.count:
            same = observation is batch.observation or observation == batch.observation
            fits = action is None or batch.action is None or action is batch.action or action == batch.action
            if not (same and fits and blocks == bool(batch.blocks)):
                self.close()
                batch = self._open
                batch.action = action
        elif action is not None:
            batch.action = action
        batch.observation = observation
        if batch.action is None:
            batch.action = action
        return batch

    def _attach_pending(self, batch: StepsRecorded, index: int) -> None:
        batch.logged += [(index, name, value) for name, value in self.pending]
        self.pending = []

    def _added(self, batch: StepsRecorded, count: int, nbytes: int) -> None:
        batch.count += count
        batch.nbytes += nbytes
        if batch.count >= MAX_STEPS or batch.nbytes >= MAX_BYTES:
            self.close()


def checked_tick(tick: int | None) -> int:
    """Return the tick as it is stored. Raises InvalidValue, TypeError or ValueError for one that is no int64."""
    return NO_TICK if tick is None else _checked(tick, _INT64, "tick")


def _absent(observation: Any, action: Any) -> int:  # noqa: ANN401
    return (ABSENT_OBSERVATION if observation is ABSENT else 0) | (ABSENT_ACTION if action is ABSENT else 0)


def _checked(value: Any, allowed: range, name: str) -> int:  # noqa: ANN401 - int or numpy integer
    whole = value if type(value) is int else int(value)
    if whole not in allowed:
        raise InvalidValue(f"{name} {whole} is out of range")
    return whole
