"""Fills the open batch of a stream with the loop's rows, and closes it by size, or by age when the ticker asks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.recorder.columns import FACTS, Block
from runbus.recorder.env_positions import EnvPositions
from runbus.recorder.events import StepsRecorded, StreamCounts
from runbus.recorder.left_out import Remark, mark_name, say_nothing
from runbus.recorder.structure import FREE, Structure
from runbus.recorder.text import json_text
from runbus.recorder.values import Capture, Observations, as_is, chooser, number
from runbus.schemas.batch import NO_TICK
from runbus.schemas.layout import Layout

MAX_STEPS = 256
MAX_BYTES = 256 * 1024
MAX_BLOCK_BYTES = 2 * 1024 * 1024  # a larger call is several events: one that is larger than a queue is lost
BLOCK_ROW_BYTES = 38  # the numbers of one row of a block
ROW_BYTES = 150  # what one row takes beside its payload: its facts, two bytes objects, two list entries
_ENVS = 2**31
_pack_facts, _now_ns = FACTS.pack, time.time_ns  # looked up once: this is the loop's time
_INT64 = range(-(2**63) + 1, 2**63)

Publish = Callable[[StepsRecorded], None]


class RecordedStream:
    """Takes the steps of one (run, agent, attempt) and publishes them in batches, in order.

    A part of a step that cannot be kept is left out: the row says so in an extra (left_out.py), and the step stays. The
    methods raise InvalidValue, TypeError or ValueError only if it cannot be told whose row it is; nothing is recorded
    then, and the caller reports it to `refuse`. A row that an interrupt cuts short counts as dropped.

    Args:
        publish: gets each closed batch, under the stream's lock, so that batches stay in order.
        remark: is told which part was left out and why, and other news of the columns.
        spaces: what is known of actions and observations.
    """

    def __init__(
        self,
        id_: StreamId,
        observations: Observations,
        publish: Publish,
        remark: Remark = say_nothing,
        spaces: tuple[Structure, Structure] = (FREE, FREE),
    ) -> None:
        self.counts = StreamCounts(id_)
        self.positions = EnvPositions()
        self.lock = threading.RLock()
        self._publish = publish
        self.remark = remark
        self.action = Capture(as_is, spaces[0])
        self.observation = Capture(chooser(observations), spaces[1])
        self._open = StepsRecorded(self.counts)
        self._first_seq = 0
        self._seen_by_ticker = -1
        #: named numbers that wait for the next step
        self.pending: dict[str, float] = {}
        self._marks: dict[str, float] = {}  # of the row that is being made

    def step(
        self,
        action: Any,  # noqa: ANN401
        reward: Any,  # noqa: ANN401
        terminated: Any,  # noqa: ANN401
        truncated: Any,  # noqa: ANN401
        observation: Any,  # noqa: ANN401
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
    ) -> None:
        """Append one step. See Recorder.step."""
        with self.lock:
            begun = False
            try:
                seen = self.observation.pack(observation)
                if seen is None:
                    seen = self.learnt("observation", self.observation, observation)
                did = self.action.pack(action)
                if did is None:
                    did = self.learnt("action", self.action, action)
                if type(reward) is not float:
                    reward = self._number(reward)
                at_tick = NO_TICK if tick is None else self.tick(tick)
                said = None if info is None else self._text(info)
                if type(env) is not int or not -1 < env < _ENVS:
                    env = _checked(env, range(_ENVS), "env")
                try:
                    over, cut = (True if terminated else False), (True if truncated else False)  # noqa: SIM210 - half of bool()
                except Exception:  # noqa: BLE001 - an array of several, or an object that has no truth
                    over, cut = self._flag("terminated", terminated), self._flag("truncated", truncated)
                batch = self._open
                if self.observation.layout is not batch.observation or self.action.layout is not batch.action:
                    batch = self._batch_for(self.observation.layout, self.action.layout)
                elif batch.blocks:
                    batch = self._batch_for(batch.observation, batch.action)
                (episode, step), begun = self.positions.step(env), True
                if said is not None:
                    batch.infos[batch.count] = said
                if self.pending:
                    self._attach_pending(batch, batch.count)
                if self._marks:
                    self._attach_marks(batch, batch.count)
                rows = batch.rows
                rows.facts += _pack_facts(env, episode, step, _now_ns(), reward, over, cut, at_tick)
                rows.actions.append(did)
                rows.observations.append(seen)
                nbytes, count = batch.nbytes + len(did) + len(seen), batch.count + 1
                batch.nbytes, batch.count = nbytes, count
            except BaseException as error:
                self._cut_short(error, env, begun=begun, reset=False)
                raise
            if count >= MAX_STEPS or nbytes >= MAX_BYTES:
                self.close()

    def reset(
        self,
        observation: Any,  # noqa: ANN401
        seed: int | None,
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
    ) -> None:
        """Append the row of a reset. See Recorder.reset."""
        with self.lock:
            begun = False
            try:
                seen = self.observation.pack(observation)
                if seen is None:
                    seen = self.learnt("observation", self.observation, observation)
                at_tick = NO_TICK if tick is None else self.tick(tick)
                said = None if info is None else self._text(info)
                checked = None if seed is None else self.seed(seed)
                env = _checked(env, range(_ENVS), "env")
                batch = self._batch_for(self.observation.layout, None)
                (episode, step), begun = self.positions.reset(env), True
                if checked is not None:
                    batch.seeds[batch.count] = checked
                if said is not None:
                    batch.infos[batch.count] = said
                if self._marks:
                    self._attach_marks(batch, batch.count)
                batch.rows.facts += _pack_facts(env, episode, step, _now_ns(), 0.0, False, False, at_tick)
                batch.rows.actions.append(b"")
                batch.rows.observations.append(seen)
                nbytes, count = batch.nbytes + len(seen), batch.count + 1
                batch.nbytes, batch.count = nbytes, count
            except BaseException as error:
                self._cut_short(error, env, begun=begun, reset=True)
                raise
            self._close_if_full()

    # --- parts that cannot be kept ----------------------------------------------------------------------------

    def learnt(self, part: str, capture: Capture, value: Any) -> bytes:  # noqa: ANN401
        """Return the bytes of a value that its packer does not know, and pass on what is to be said of it."""
        raw = capture.learn(value)
        if capture.flaw:
            self.leave_out(part, capture.flaw)
        if capture.news:
            self.remark("layout", f"an {part} {capture.news}")
            capture.news = ""
        return raw

    def leave_out(self, part: str, why: str, count: int = 1) -> None:
        """Note that the row which is being made is without a part, and say why."""
        self._marks[mark_name(part)] = self._marks.get(mark_name(part), 0.0) + count
        self.counts.leave_out(part, count)
        self.remark(part, why)

    def mark(self, marks: Mapping[str, float]) -> None:
        """Give the row which is made next these marks; what they say of is counted."""
        self._marks.update(marks)

    def leave_out_of(self, part: str, why: str, count: int = 1) -> None:
        """Note that some values could not be kept: the next step says so."""
        with self.lock:
            name = mark_name(part)
            self.pending[name] = self.pending.get(name, 0.0) + count
            self.counts.leave_out(part, count)
        self.remark(part, why)

    def tick(self, tick: Any) -> int:  # noqa: ANN401
        """Return the tick as it is stored: none if it is no int64, which is noted."""
        try:
            return checked_tick(tick)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            self.leave_out("tick", str(error))
            return NO_TICK

    def seed(self, seed: Any) -> int | None:  # noqa: ANN401
        """Return the seed: None if it is no int64, which is noted."""
        try:
            return checked_seed(seed)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            self.leave_out("seed", str(error))
            return None

    def _number(self, reward: Any) -> float:  # noqa: ANN401
        try:
            return number(reward)
        except Exception as error:  # noqa: BLE001 - whatever the environment calls a reward
            self.leave_out("reward", f"{error}. It is stored as NaN")
            return math.nan

    def _flag(self, part: str, value: Any) -> bool:  # noqa: ANN401
        try:
            return bool(value)
        except Exception as error:  # noqa: BLE001 - whatever the environment calls a flag
            self.leave_out(part, f"{error}. It is stored as false")
            return False

    def _text(self, info: Any) -> str:  # noqa: ANN401
        try:
            return json_text(info)
        except Exception as error:  # noqa: BLE001 - the objects in it are the user's
            self.leave_out("info", str(error))
            return ""

    def _cut_short(self, error: BaseException, env: Any, *, begun: bool, reset: bool) -> None:  # noqa: ANN401
        """Undo what a row left in the open batch, and count the row if an interrupt ended it: the caller cannot."""
        self._marks = {}
        self._open.cut_to_count()
        if isinstance(error, Exception):
            return
        if begun:
            self.give_up(1)
        else:
            self.refuse(env, reset=reset)

    def refuse(self, env: object, *, reset: bool) -> None:
        """Count one row that could not be recorded: it takes a seq and is dropped, so the gap is accounted for."""
        with self.lock:
            if isinstance(env, int) and 0 <= env < _ENVS:
                (self.positions.reset if reset else self.positions.step)(env)
            self.give_up(1)

    def refuse_many(self, envs: NDArray[np.int64], *, reset: bool) -> None:
        """Count the rows of a vector call that could not be recorded: one of each of `envs`."""
        with self.lock:
            (self.positions.reset_many if reset else self.positions.step_many)(envs)
            self.give_up(len(envs))

    def give_up(self, count: int) -> None:
        """Count steps that could not be recorded: each takes a seq and is dropped."""
        if count < 1:
            return
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
        marks: Mapping[str, Mapping[int, float]] | None = None,
    ) -> None:
        """Append one call of a vector environment, already in columns; `seeds` and `marks` by index in the block."""
        with self.lock:
            nbytes = len(block.action) + len(block.observation) + BLOCK_ROW_BYTES * block.size
            if nbytes > MAX_BLOCK_BYTES and block.size > 1:
                self._append_halves(block, action, observation, seeds or {}, marks or {})
                return
            batch = self._batch_for(observation, action, blocks=True)
            try:
                batch.blocks.append(block)
                if seeds:
                    batch.seeds.update({batch.count + index: seed for index, seed in seeds.items()})
                for name, values in (marks or {}).items():
                    batch.extras.setdefault(name, {}).update({batch.count + i: value for i, value in values.items()})
                if self.pending and action is not None:
                    self._attach_pending(batch, batch.count)
                nbytes, count = batch.nbytes + len(block.action) + len(block.observation), batch.count + block.size
                batch.nbytes, batch.count = nbytes, count
            except BaseException:
                batch.cut_to_count()
                raise
            self._close_if_full()

    def _append_halves(
        self,
        block: Block,
        action: Layout | None,
        observation: Layout,
        seeds: Mapping[int, int],
        marks: Mapping[str, Mapping[int, float]],
    ) -> None:
        middle = block.size // 2
        for start, stop in ((0, middle), (middle, block.size)):
            of_half = {i - start: seed for i, seed in seeds.items() if start <= i < stop}
            marked = {
                name: {i - start: value for i, value in rows.items() if start <= i < stop}
                for name, rows in marks.items()
            }
            self.append_block(
                block.slice(start, stop),
                action,
                observation,
                of_half,
                {name: rows for name, rows in marked.items() if rows},
            )

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
            overhead = ROW_BYTES * len(batch.rows.actions) + BLOCK_ROW_BYTES * sum(block.size for block in batch.blocks)
            overhead += sum(map(len, batch.infos.values())) + 100 * sum(map(len, batch.extras.values()))
            fresh = StepsRecorded(self.counts, observation=batch.observation, action=batch.action)
            batch.nbytes += overhead
            batch.closed_at = time.monotonic()
            batch.first_seq = self._first_seq
            end, closed = self._first_seq + batch.count, False
            try:  # in one statement without a call: an interrupt comes before all of it, or after
                self._first_seq, self.counts.produced, self._open, closed = end, end, fresh, True
                self._publish(batch)
            except BaseException as error:
                if closed and not isinstance(error, Exception):  # whether it is published cannot be known now;
                    self._publish(batch)  # the courier takes a batch once
                raise

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
        for name, value in self.pending.items():
            batch.extras.setdefault(name, {})[index] = value
        self.pending = {}

    def _attach_marks(self, batch: StepsRecorded, index: int) -> None:
        for name, value in self._marks.items():
            of_row = batch.extras.setdefault(name, {})
            of_row[index] = of_row.get(index, 0.0) + value
        self._marks = {}

    def _close_if_full(self) -> None:
        if self._open.count >= MAX_STEPS or self._open.nbytes >= MAX_BYTES:
            self.close()


def checked_tick(tick: int) -> int:
    """Return the tick. Raises InvalidValue, TypeError or ValueError for one that is no int64."""
    return _checked(tick, _INT64, "tick")


def checked_seed(seed: int) -> int:
    """Return the seed. Raises InvalidValue, TypeError or ValueError for one that is no int64."""
    return _checked(seed, _INT64, "seed")


def _checked(value: Any, allowed: range, name: str) -> int:  # noqa: ANN401 - int or numpy integer
    whole = value if type(value) is int else int(value)
    if whole not in allowed:
        raise InvalidValue(f"{name} {whole} is out of range")
    return whole
