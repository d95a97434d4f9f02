"""Fills the open batch of a stream with the loop's rows, and closes it by size, or by age when the ticker asks."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.recorder.absent import ABSENT
from runbus.recorder.columns import FACTS, NO_NOTES, Block, BlockNotes
from runbus.recorder.counts import StreamCounts
from runbus.recorder.env_positions import EnvPositions, Envs, Flags
from runbus.recorder.events import StepsRecorded
from runbus.recorder.left_out import Remark, mark_name, say_nothing
from runbus.recorder.logged import MAX_WAITING, Numbers, by_name, numbers_of
from runbus.recorder.open_batch import BatchedStream, StreamEnded
from runbus.recorder.row_words import StepWords, words_of_reset, words_of_step
from runbus.recorder.structure import FREE, Structure
from runbus.recorder.text import json_text
from runbus.recorder.values import Capture, Observations, as_is, chooser, number
from runbus.schemas.batch import ABSENT_ACTION, ABSENT_OBSERVATION, NO_TICK
from runbus.schemas.layout import Layout

MAX_STEPS = 256
MAX_BYTES = 256 * 1024
MAX_BLOCK_BYTES = 2 * 1024 * 1024  # a larger call is several events: one that is larger than a queue is lost
BLOCK_ROW_BYTES = 38  # the numbers of one row of a block
ROW_BYTES = 150  # what one row takes beside its payload: its facts, two bytes objects, two list entries
_ENVS = 2**31
_pack_facts = FACTS.pack  # looked up once: this is the loop's time
_INT64 = range(-(2**63) + 1, 2**63)
_NEVER = Layout(dtype="no value has this layout")

_T = TypeVar("_T")
Publish = Callable[[StepsRecorded], None]


class RecordedStream(BatchedStream[StepsRecorded]):
    """Takes the steps of one (run, agent, attempt) and publishes them in batches, in order.

    A part of a step that cannot be kept is left out: the row says so in an extra (left_out.py), and the step stays. The
    methods raise InvalidValue, TypeError or ValueError only if it cannot be told whose row it is; nothing is recorded
    then, and the caller reports it to `refuse`. A row that an interrupt cuts short counts as dropped.

    Args:
        publish: gets each closed batch, under the stream's lock, so that batches stay in order.
        unannounced: is called with an env whose step came behind the end of its episode, and began the next one.
        remark: is told which part was left out and why, and other news of the columns.
        spaces: what is known of actions and observations.
    """

    def __init__(
        self,
        id_: StreamId,
        observations: Observations,
        publish: Publish,
        unannounced: Callable[[int], None] | None = None,
        remark: Remark = say_nothing,
        spaces: tuple[Structure, Structure] = (FREE, FREE),
    ) -> None:
        counts = StreamCounts(id_)
        super().__init__(counts, StepsRecorded(counts), publish)
        self.positions = EnvPositions(unannounced)
        self.remark = remark
        self.action = Capture(as_is, spaces[0])
        self.observation = Capture(chooser(observations), spaces[1])
        #: named numbers that wait for the next row, in the order in which they were logged
        self.pending: Numbers = []
        self._marks: dict[str, float] = {}  # of the row that is being made
        #: wall time of single rows, in nanoseconds since the epoch
        self.now_ns: Callable[[], int] = time.time_ns

    def step(  # noqa: PLR0912, PLR0913, PLR0917 - one row of everything, by position: this is the loop's time
        self,
        action: Any,  # noqa: ANN401
        reward: Any,  # noqa: ANN401
        terminated: Any,  # noqa: ANN401
        truncated: Any,  # noqa: ANN401
        observation: Any,  # noqa: ANN401
        info: Mapping[str, Any] | None,
        env: int,
        tick: int | None,
        words: StepWords | None = None,
    ) -> int:
        """Append one step, with the named numbers that wait for it; return its seq. See Recorder.step."""
        with self.lock:
            begun = False
            try:
                seen = b"" if observation is ABSENT else self.observation.pack(observation)
                if seen is None:
                    seen = self.learnt("observation", self.observation, observation)
                did = b"" if action is ABSENT else self.action.pack(action)
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
                (episode, step), begun = self.positions.step(env, ends=over or cut), True
                if said is not None:
                    batch.infos[batch.count] = said
                if self.pending:
                    self._attach_pending(batch, batch.count)
                if words and (note := words_of_step(words, self.leave_out)) is not None:
                    batch.words.take(batch.count, note)
                if not (seen and did) and (observation is ABSENT or action is ABSENT):
                    batch.words.absent[batch.count] = _absent(observation, action)
                if self._marks:
                    self._attach_marks(batch, batch.count)
                rows = batch.rows
                rows.facts += _pack_facts(env, episode, step, self.now_ns(), reward, over, cut, at_tick)
                rows.actions.append(did)
                rows.observations.append(seen)
                nbytes, count = batch.nbytes + len(did) + len(seen), batch.count + 1
                seq = self._first_seq + count - 1
                batch.nbytes, batch.count = nbytes, count
            except BaseException as error:
                self._cut_short(error, env, begun=begun, reset=False, flags=(terminated, truncated))
                raise
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
        labels: Mapping[str, object] | None = None,
    ) -> int:
        """Append the row of a reset and return its seq. See Recorder.reset."""
        with self.lock:
            begun = False
            try:
                seen = b"" if observation is ABSENT else self.observation.pack(observation)
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
                if self.pending:
                    self._attach_pending(batch, batch.count)
                if labels and (note := words_of_reset(labels, self.leave_out)) is not None:
                    batch.words.take(batch.count, note)
                if observation is ABSENT:
                    batch.words.absent[batch.count] = ABSENT_OBSERVATION
                if self._marks:
                    self._attach_marks(batch, batch.count)
                batch.rows.facts += _pack_facts(env, episode, step, self.now_ns(), 0.0, False, False, at_tick)
                batch.rows.actions.append(b"")
                batch.rows.observations.append(seen)
                nbytes, count = batch.nbytes + len(seen), batch.count + 1
                seq = self._first_seq + count - 1
                batch.nbytes, batch.count = nbytes, count
            except BaseException as error:
                self._cut_short(error, env, begun=begun, reset=True)
                raise
            self._close_if_full()
            return seq

    def log(self, values: Mapping[Any, Any]) -> dict[str, float]:
        """Keep named numbers for the next row; return the last of each name. What is no number is left out."""
        with self.lock:
            try:
                found = numbers_of(values, MAX_WAITING - len(self.pending), self.leave_out)
            except Exception as error:  # noqa: BLE001 - whatever the caller gave
                self.leave_out("log", f"{error}. Pass names and numbers")
                return {}
            self.pending += found
            if len(self._open.logged) + len(self.pending) > MAX_WAITING:  # so that a batch can hold all their names
                self.close()
            return dict(found)

    def take_pending(self) -> dict[str, list[float]]:
        """Return the numbers that no row took, by name, and forget them."""
        with self.lock:
            pending, self.pending = self.pending, []
            return by_name(pending)

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

    def tick(self, tick: Any) -> int:  # noqa: ANN401
        """Return the tick as it is stored: none if it is no int64, which is noted."""
        try:
            return checked_tick(tick)
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            self.leave_out("tick", str(error))
            return NO_TICK

    def seed(self, seed: Any) -> int | None:  # noqa: ANN401
        """Return the seed, of any size; None if it is no integer, which is noted."""
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

    def _cut_short(
        self, error: BaseException, env: object, *, begun: bool, reset: bool, flags: tuple[object, ...] = ()
    ) -> None:
        """Undo what a row left in the open batch, and count the row if an interrupt ended it: the caller cannot."""
        self._marks = {}
        self._open.cut_to_count()
        if isinstance(error, Exception):
            return
        if begun:
            self._give_up(1)
        else:
            self.refuse(env, reset=reset, flags=flags)

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

    def give_up(self, count: int) -> None:
        """Count rows that were lost on their way into a batch, and whose places in their episodes are taken."""
        with self.lock:
            self._give_up(count)

    def _give_up(self, count: int) -> None:
        self.close()
        self._first_seq += count
        self.counts.produced = self._first_seq
        self.counts.drop(count)

    def append_block(
        self, block: Block, action: Layout | None, observation: Layout, notes: BlockNotes = NO_NOTES
    ) -> None:
        """Append rows of one call of a vector environment, already in columns."""
        with self.lock:
            nbytes = len(block.action) + len(block.observation) + BLOCK_ROW_BYTES * block.size
            if nbytes > MAX_BLOCK_BYTES and block.size > 1:
                middle = block.size // 2
                for start, stop in ((0, middle), (middle, block.size)):
                    self.append_block(block.slice(start, stop), action, observation, notes.slice(start, stop))
                return
            batch = self._batch_for(observation, action, blocks=True)
            try:
                first = batch.count
                batch.blocks.append(block)
                if notes is not NO_NOTES:
                    batch.note(first, notes)
                if self.pending:
                    self._attach_pending(batch, first)
                if self._marks:
                    self._attach_marks(batch, first)
                nbytes, count = batch.nbytes + len(block.action) + len(block.observation), first + block.size
                batch.nbytes, batch.count = nbytes, count
            except BaseException:
                batch.cut_to_count()
                raise
            self._close_if_full()

    def _after(self, batch: StepsRecorded, /) -> StepsRecorded:
        overhead = ROW_BYTES * len(batch.rows.actions) + BLOCK_ROW_BYTES * sum(block.size for block in batch.blocks)
        overhead += sum(map(len, batch.infos.values())) + 100 * sum(map(len, batch.extras.values()))
        overhead += 100 * len(batch.logged) + batch.words.size
        if batch.extra_columns:
            overhead += sum(values.nbytes for parts in batch.extra_columns.values() for _, values in parts)
        batch.nbytes += overhead
        return StepsRecorded(self.counts, observation=batch.observation, action=batch.action)

    def end(self) -> None:
        """Publish the open batch and take no more rows; see BatchedStream."""
        with self.lock:
            super().end()
            self._open = StepsRecorded(self.counts, observation=_NEVER)  # so that the next row asks for a batch

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
        batch.logged += [(index, name, value) for name, value in self.pending]
        self.pending = []

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


def checked_seed(seed: Any) -> int:  # noqa: ANN401 - an integer of any type and size
    """Return the seed. Raises TypeError for what is no integer."""
    return operator.index(seed)


def _absent(observation: Any, action: Any) -> int:  # noqa: ANN401
    return (ABSENT_OBSERVATION if observation is ABSENT else 0) | (ABSENT_ACTION if action is ABSENT else 0)


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
