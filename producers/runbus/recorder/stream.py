"""Fills the open batch of a stream with the loop's rows, and closes it by size, or by age when the ticker asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.recorder.columns import FACTS, Block
from runbus.recorder.env_positions import EnvPositions, Envs, Flags
from runbus.recorder.events import StepsRecorded, StreamCounts
from runbus.recorder.text import json_text
from runbus.recorder.values import Capture, Observations, as_is, chooser, number
from runbus.schemas.batch import NO_TICK
from runbus.schemas.layout import Layout

MAX_STEPS = 256
MAX_BYTES = 256 * 1024
ROW_BYTES = 150  # what one row takes beside its payload: its facts, two bytes objects, two list entries
_ENVS = 2**31
_pack_facts, _now_ns = FACTS.pack, time.time_ns  # looked up once: this is the loop's time
_INT64 = range(-(2**63) + 1, 2**63)
_NEVER = Layout(dtype="no value has this layout")

Publish = Callable[[StepsRecorded], None]


class StreamEnded(InvalidValue):
    """A row came after the end of its stream."""


class RecordedStream:
    """Takes the steps of one (run, agent, attempt) and publishes them in batches, in order.

    The methods raise InvalidValue, TypeError, ValueError or OverflowError for a value that cannot be recorded; nothing
    is recorded then, and the caller reports it to `refuse`.

    Args:
        publish: gets each closed batch, under the stream's lock, so that batches stay in order.
        unannounced: is called with an env whose step came behind the end of its episode, and began the next one.
    """

    def __init__(
        self,
        id_: StreamId,
        observations: Observations,
        publish: Publish,
        unannounced: Callable[[int], None] | None = None,
    ) -> None:
        self.counts = StreamCounts(id_)
        self.positions = EnvPositions(unannounced)
        self.lock = threading.RLock()
        self._publish = publish
        self.observation = Capture(chooser(observations))
        self.action = Capture(as_is)
        self._open = StepsRecorded(self.counts)
        self._first_seq = 0
        self._ended = False
        self._seen_by_ticker = -1
        #: named numbers that wait for the next step
        self.pending: dict[str, float] = {}

    def step(  # noqa: PLR0913, PLR0917 - what a loop says of a step, called by position: this is the loop's time
        self,
        action: Any,  # noqa: ANN401
        reward: Any,  # noqa: ANN401
        terminated: Any,  # noqa: ANN401
        truncated: Any,  # noqa: ANN401
        observation: Any,  # noqa: ANN401
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
        extras: Mapping[str, float] | None = None,
    ) -> None:
        """Append one step, with named numbers of its own. See Recorder.step."""
        with self.lock:
            seen = self.observation.pack(observation)
            if seen is None:
                seen = self.observation.learn(observation)
            did = self.action.pack(action)
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
            episode, step = self.positions.step(env, ends=over or cut)
            if said is not None:
                batch.infos[batch.count] = said
            if self.pending:
                self._attach_pending(batch, batch.count)
            if extras:
                self._attach(extras, batch, batch.count)
            rows = batch.rows
            rows.facts += _pack_facts(env, episode, step, _now_ns(), reward, over, cut, at_tick)
            rows.actions.append(did)
            rows.observations.append(seen)
            batch.count = count = batch.count + 1
            batch.nbytes = nbytes = batch.nbytes + len(did) + len(seen)
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
            seen = self.observation.pack(observation)
            if seen is None:
                seen = self.observation.learn(observation)
            at_tick = checked_tick(tick)
            said = None if info is None else json_text(info)
            checked = None if seed is None else checked_seed(seed)
            env = _checked(env, range(_ENVS), "env")
            batch = self._batch_for(self.observation.layout, None)
            episode, step = self.positions.reset(env)
            if checked is not None:
                batch.seeds[batch.count] = checked
            if said is not None:
                batch.infos[batch.count] = said
            batch.rows.facts += _pack_facts(env, episode, step, _now_ns(), 0.0, False, False, at_tick)
            batch.rows.actions.append(b"")
            batch.rows.observations.append(seen)
            self._added(batch, 1, len(seen))

    def refuse(self, env: object, *, reset: bool, flags: tuple[object, ...] = ()) -> None:
        """Count one row that could not be recorded: it takes a seq and is dropped, so the gap is accounted for.

        Args:
            flags: of a step, terminated and truncated: a row that is lost still ends its episode.
        """
        with self.lock:
            if self._ended:
                raise StreamEnded("the stream has ended")
            if isinstance(env, int) and 0 <= env < _ENVS:
                if reset:
                    self.positions.reset(env)
                else:
                    self.positions.step(env, ends=any(map(_is_set, flags)))
            self._give_up(1)

    def refuse_many(self, envs: Envs, resets: Flags | None = None, ends: Flags | None = None) -> None:
        """Count the rows of a vector call that could not be recorded: one of each of `envs`; see EnvPositions."""
        with self.lock:
            if self._ended:
                raise StreamEnded("the stream has ended")
            episode, _ = self.positions.advance(envs, resets=resets, ends=ends)
            self._give_up(len(episode))

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
        *,
        seeds: Mapping[int, int] | None = None,
        infos: Mapping[int, str] | None = None,
        extras: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Append rows of one call of a vector environment, already in columns.

        Args:
            seeds, infos: by index in the block.
            extras: by name, a number for each row of the block.
        """
        with self.lock:
            batch = self._batch_for(observation, action, blocks=True)
            batch.blocks.append(block)
            if seeds:
                batch.seeds.update({batch.count + index: seed for index, seed in seeds.items()})
            if infos:
                batch.infos.update({batch.count + index: info for index, info in infos.items()})
            if extras:
                for name, values in extras.items():
                    batch.extra_columns.setdefault(name, []).append((batch.count, values))
            if self.pending and action is not None:
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
            if batch.extra_columns:
                overhead += sum(values.nbytes for parts in batch.extra_columns.values() for _, values in parts)
            batch.nbytes += overhead
            batch.closed_at = time.monotonic()
            self._publish(batch)

    def end(self) -> None:
        """Publish the open batch and take no more rows: a row that still comes raises StreamEnded."""
        with self.lock:
            self.close()
            self._ended = True
            self._open = StepsRecorded(self.counts, observation=_NEVER)  # so that the next row asks for a batch

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
        if self._ended:
            raise StreamEnded("the stream has ended")
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
        self._attach(self.pending, batch, index)
        self.pending = {}

    def _attach(self, numbers: Mapping[str, float], batch: StepsRecorded, index: int) -> None:
        for name, value in numbers.items():
            batch.extras.setdefault(name, {})[index] = value

    def _added(self, batch: StepsRecorded, count: int, nbytes: int) -> None:
        batch.count += count
        batch.nbytes += nbytes
        if batch.count >= MAX_STEPS or batch.nbytes >= MAX_BYTES:
            self.close()


def checked_tick(tick: int | None) -> int:
    """Return the tick as it is stored. Raises InvalidValue, TypeError or ValueError for one that is no int64."""
    return NO_TICK if tick is None else _checked(tick, _INT64, "tick")


def checked_seed(seed: int) -> int:
    """Return the seed. Raises InvalidValue, TypeError or ValueError for one that is no int64."""
    return _checked(seed, _INT64, "seed")


def _is_set(flag: object) -> bool:
    """Return whether a flag is set; one that cannot be told is not."""
    try:
        return bool(flag)
    except Exception:  # noqa: BLE001 - any object that a loop passes
        return False


def _checked(value: Any, allowed: range, name: str) -> int:  # noqa: ANN401 - int or numpy integer
    whole = value if type(value) is int else int(value)
    if whole not in allowed:
        raise InvalidValue(f"{name} {whole} is out of range")
    return whole
