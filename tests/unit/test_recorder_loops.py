"""Loops that hypothesis makes up, against a plain ledger: every row is stored as it was, or counted as dropped."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StreamFinished
from tests.support.recorded_rows import batches_of, rows_of

ENVS = 3


class Interrupting:
    """A value at which somebody presses Ctrl-C."""

    def __array__(self, *_args: object, **_options: object) -> np.ndarray[Any, Any]:
        raise KeyboardInterrupt

    def __float__(self) -> float:
        raise KeyboardInterrupt


class Broken:
    """A value that cannot be read."""

    def __array__(self, *_args: object, **_options: object) -> np.ndarray[Any, Any]:
        raise ValueError("nothing to see")

    def __float__(self) -> float:
        raise ValueError("no number")


@dataclass(frozen=True)
class Row:
    """What the ledger knows of a row; `observation` None = the loop gave one that cannot be recorded."""

    env: int
    episode: int
    step: int
    reward: float
    over: tuple[bool, bool]
    observation: float | None


@dataclass
class Ledger:
    """Counts as the documentation says, one row after the other, in plain Python."""

    rows: list[Row] = field(default_factory=list)
    after_close: int = 0
    closed: bool = False
    _episode: dict[int, int] = field(default_factory=dict)
    _step: dict[int, int] = field(default_factory=dict)
    _over: dict[int, bool] = field(default_factory=dict)

    def add(self, env: int, reward: float, over: tuple[bool, bool], seen: float | None, *, reset: bool) -> None:
        """Note a row; a step behind an end begins the next episode, as a reset does."""
        if self.closed:
            self.after_close += 1
            return
        if reset or env not in self._episode or self._over[env]:
            self._episode[env] = self._episode.get(env, -1) + 1
            self._step[env] = 0
        if not reset:
            self._step[env] += 1
        self._over[env] = any(over)
        self.rows.append(Row(env, self._episode[env], self._step[env], reward, over, seen))


@dataclass
class Loop:
    """A recorder, what its bus heard, and the ledger."""

    recorder: Recorder
    seen: Subscription
    ledger: Ledger = field(default_factory=Ledger)

    @classmethod
    def new(cls) -> Loop:
        """Return one that has done nothing yet."""
        bus = RunBus()
        return cls(Recorder("run-1", bus=bus, kafka=False), bus.subscribe("test", max_events=10**9))

    def check(self) -> None:
        """Fail unless every row of the ledger is there as it was, or is counted as dropped."""
        self.recorder.close()
        events = self.seen.get_many(10**6)
        stored = {row.seq: row for batch in batches_of(events) for row in rows_of(batch)}
        stats = self.recorder.stats()
        assert stats["produced"] == len(self.ledger.rows)
        assert stats["dropped"] == len(self.ledger.rows) - len(stored)
        assert stats["after_close"] == self.ledger.after_close
        for seq, row in stored.items():
            expected = self.ledger.rows[seq]
            assert row[1:6] == (expected.env, expected.episode, expected.step, expected.reward, expected.over), seq
            assert expected.observation is None or _number(row.observation) == expected.observation
        bad = sum(row.observation is None for row in self.ledger.rows)
        assert len(self.ledger.rows) - len(stored) <= bad, "a good row was dropped"
        ends = sum(isinstance(event, StreamFinished) for event in events)
        assert ends == 1 or (ends == 0 and not self.ledger.rows)


def _number(observation: Any) -> float | None:
    """Return the first number of an observation, which is how the ledger keeps it."""
    return None if observation is None else float(np.asarray(observation).ravel()[0])


Operation = Callable[[Loop], None]
numbers = st.floats(-100, 100, width=32)
ends = st.sampled_from([(False, False)] * 4 + [(True, False), (False, True), (True, True)])
forms: st.SearchStrategy[Callable[[float], object]] = st.sampled_from(
    [float, lambda x: np.array([x]), lambda x: np.array([x], np.float32), lambda x: [x]]
)


@st.composite
def resets(draw: st.DrawFn) -> Operation:
    """A reset of one environment."""
    env, number, form, seed = (
        draw(st.integers(0, ENVS - 1)),
        draw(numbers),
        draw(forms),
        draw(st.none() | st.integers(0)),
    )

    def run(loop: Loop) -> None:
        loop.recorder.reset(form(number), env=env, seed=None if seed is None else seed % 2**62)
        loop.ledger.add(env, 0.0, (False, False), number, reset=True)

    return run


@st.composite
def steps(draw: st.DrawFn) -> Operation:
    """A step of one environment."""
    env, number, form, over = draw(st.integers(0, ENVS - 1)), draw(numbers), draw(forms), draw(ends)

    def run(loop: Loop) -> None:
        loop.recorder.step(1, number, *over, form(number), env=env)
        loop.ledger.add(env, number, over, number, reset=False)

    return run


@st.composite
def bad_steps(draw: st.DrawFn) -> Operation:
    """A step whose observation cannot be read, or at which Ctrl-C is pressed."""
    env, over, value = (
        draw(st.integers(0, ENVS - 1)),
        draw(ends),
        draw(st.sampled_from([Broken(), Interrupting(), {1, 2}])),
    )

    def run(loop: Loop) -> None:
        try:
            loop.recorder.step(1, 0.5, *over, value, env=env)
        except KeyboardInterrupt:
            assert isinstance(value, Interrupting)
            if loop.recorder.stats()["produced"] == len(loop.ledger.rows):
                return  # as if the call had not been made
        loop.ledger.add(env, 0.5, over, None, reset=False)

    return run


@st.composite
def vector_steps(draw: st.DrawFn) -> Operation:
    """A step of all environments at once, some of which are reset instead."""
    rewards, over = draw(st.tuples(*[numbers] * ENVS)), draw(st.tuples(*[ends] * ENVS))
    mask = draw(st.none() | st.tuples(*[st.booleans()] * ENVS))

    def run(loop: Loop) -> None:
        ended = np.array([e if not (mask and mask[i]) else (False, False) for i, e in enumerate(over)])
        loop.recorder.step_vector(
            np.zeros(ENVS), np.array(rewards), ended[:, 0], ended[:, 1], np.array(rewards)[:, None],
            resets=None if mask is None else np.array(mask),
        )  # fmt: skip
        for env, reward in enumerate(rewards):
            reset = bool(mask and mask[env])
            flags = (bool(ended[env, 0]), bool(ended[env, 1]))
            loop.ledger.add(env, 0.0 if reset else reward, flags, reward, reset=reset)

    return run


@st.composite
def vector_resets(draw: st.DrawFn) -> Operation:
    """A reset of some of the environments at once."""
    mask, values = draw(st.none() | st.tuples(*[st.booleans()] * ENVS)), draw(st.tuples(*[numbers] * ENVS))

    def run(loop: Loop) -> None:
        loop.recorder.reset_vector(np.array(values)[:, None], mask=None if mask is None else np.array(mask))
        for env, value in enumerate(values):
            if mask is None or mask[env]:
                loop.ledger.add(env, 0.0, (False, False), value, reset=True)

    return run


@st.composite
def bad_vector_steps(draw: st.DrawFn) -> Operation:
    """A step of all environments whose observations cannot be read, or at which Ctrl-C is pressed."""
    over, value = draw(st.tuples(*[ends] * ENVS)), draw(st.sampled_from([Broken(), Interrupting(), [1, 2, Broken()]]))

    def run(loop: Loop) -> None:
        ended = np.array(over)
        try:
            loop.recorder.step_vector(np.zeros(ENVS), np.full(ENVS, 0.5), ended[:, 0], ended[:, 1], value)
        except KeyboardInterrupt:
            assert isinstance(value, Interrupting)
        for env, flags in enumerate(over):
            loop.ledger.add(env, 0.5, flags, None, reset=False)

    return run


def _log(loop: Loop) -> None:
    loop.recorder.log({"loss": 0.5})
    loop.recorder.log({"": 1.0, "note": "text"})  # type: ignore[dict-item]


def _tick(loop: Loop) -> None:
    loop.recorder.flush(0)


def _close(loop: Loop) -> None:
    loop.recorder.close()
    loop.ledger.closed = True


operations = st.one_of(
    *(resets(), steps(), steps(), bad_steps(), vector_steps(), vector_resets(), bad_vector_steps()),
    st.sampled_from([_log, _tick, _tick]),
)
loops = st.tuples(st.lists(operations, max_size=40), st.lists(operations | st.just(_close), max_size=6))


def play(loop: Loop, done: list[Operation]) -> None:
    """Run operations one after the other."""
    for operation in done:
        operation(loop)


def check(made: tuple[list[Operation], list[Operation]]) -> None:
    """Run a loop and compare."""
    loop = Loop.new()
    play(loop, [*made[0], *made[1]])
    loop.check()


@settings(max_examples=150, deadline=None)
@given(loops)
def test_any_loop_is_stored_as_it_was_or_counted(made: tuple[list[Operation], list[Operation]]) -> None:
    """Resets, steps, ends without resets, vector calls, bad values, Ctrl-C, ticks, closes, in any order."""
    check(made)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(loops)
def test_ten_thousand_loops(made: tuple[list[Operation], list[Operation]]) -> None:
    """The same, longer."""
    check(made)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@settings(max_examples=30, deadline=None)
@given(loops, loops)
def test_a_loop_that_is_forked_is_two(first: tuple[list[Operation], list[Operation]], second: Any) -> None:
    """The child's rows are a stream of its own, from 0; the parent goes on with its own."""
    loop = Loop.new()
    play(loop, first[0])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        found: object = None
        try:
            forked = Loop(loop.recorder, loop.recorder.bus.subscribe("child", max_events=10**9))
            play(forked, second[0])
            forked.check()
        except BaseException as error:  # noqa: BLE001 - the parent fails with it
            found = repr(error)
        os.write(write, pickle.dumps(found))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        failure = pickle.loads(answer.read())
    os.waitpid(child, 0)
    assert failure is None
    play(loop, second[0])
    loop.check()
