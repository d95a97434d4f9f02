"""Vector calls give the rows that the same steps one by one give."""

from typing import Any

import numpy as np
import pytest

from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import StepBatch, decode, encode
from runbus.schemas.layout import decode_value, unpack

COUNT, STEPS = 3, 40


def played(vector: bool, observation: Any) -> list[StepBatch]:
    """Record the same episodes by vector calls or by single ones; `observation(env, t)` is what an env shows."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    random = np.random.default_rng(0)
    ended = np.zeros(COUNT, bool)

    def shown(t: int) -> Any:
        each = [observation(env, t) for env in range(COUNT)]
        if isinstance(each[0], dict):
            return {key: np.stack([e[key] for e in each]) for key in each[0]}
        return tuple(each) if isinstance(each[0], str) else np.stack(each)

    if vector:
        recorder.reset_vector(shown(0), seeds=[1, 2, 3])
    else:
        for env in range(COUNT):
            recorder.reset(observation(env, 0), env=env, seed=env + 1)
    for t in range(1, STEPS):
        actions, rewards, over = random.integers(0, 5, COUNT), random.normal(size=COUNT), random.random(COUNT) < 0.1
        over &= ~ended
        if vector:
            recorder.step_vector(actions, rewards, over, np.zeros(COUNT, bool), shown(t), resets=ended, tick=t)
        else:
            for env in range(COUNT):
                if ended[env]:
                    recorder.reset(observation(env, t), env=env, tick=t)
                else:
                    recorder.step(actions[env], rewards[env], over[env], False, observation(env, t), env=env, tick=t)
        ended = over
    recorder.close()
    return [decode(encode(e.batch())) for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]


def rows(batches: list[StepBatch]) -> list[tuple[Any, ...]]:
    """Return all rows but their times."""
    found: list[tuple[Any, ...]] = []
    for batch in batches:
        h, c = batch.header, batch.columns
        ticks = [None] * h.count if c.tick is None else [None if t < 0 else t for t in c.tick.tolist()]
        seeds = [None] * h.count if c.seed is None else c.seed.tolist()
        shown = [repr(decode_value(h.observation, v)) for v in unpack(h.observation, batch.observation, h.count)]
        found += zip(
            range(h.first_seq, h.next_seq),
            c.env.tolist(),
            c.episode.tolist(),
            c.step.tolist(),
            c.reward.tolist(),
            c.terminated.tolist(),
            ticks,
            [None if s == -(2**63) else s for s in seeds],
            unpack(h.action, batch.action, h.count),
            shown,
            strict=True,
        )
    return found


@pytest.mark.parametrize(
    "observation",
    [
        lambda env, t: np.array([env, t], np.float32),
        lambda env, t: np.float64(env * t),
        lambda env, t: {"a": np.array([env], np.int8), "b": np.array([[t, t]], np.float64)},
        lambda env, t: f"env {env} at {t}",
    ],
    ids=["box", "scalar", "dict", "text"],
)
def test_vector_and_single_calls_agree(observation: Any) -> None:
    """Env, episode, step, action, reward, seed and observation are the same, autoreset rows included."""
    assert rows(played(True, observation)) == rows(played(False, observation))


def test_arrays_that_are_reused_are_copied() -> None:
    """A vector environment that writes into its buffers does not change what was recorded."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    observations, rewards, flags = np.zeros((2, 2)), np.zeros(2), np.zeros(2, bool)
    for i in range(3):
        observations[:], rewards[:] = i, i
        flags[:] = i == 1
        recorder.step_vector(rewards, rewards, flags, flags, observations)
    recorder.close()
    (batch,) = [e.batch() for e in subscription.get_many(100) if isinstance(e, StepsRecorded)]
    assert batch.columns.reward.tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.columns.truncated.tolist() == [0, 0, 1, 1, 0, 0]
    assert np.frombuffer(batch.observation).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_single_and_vector_calls_share_their_counters() -> None:
    """A loop that resets env by env and steps them together stays in the same episodes."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    for env in range(2):
        recorder.reset(np.zeros(1), env=env)
    recorder.step_vector(np.zeros(2), np.zeros(2), [True, False], [False] * 2, np.zeros((2, 1)))
    recorder.reset(np.zeros(1), env=0)
    recorder.step(0.0, 0.0, False, False, np.zeros(1), env=1)
    recorder.reset_vector(np.zeros((2, 1)), mask=[False, True])
    recorder.close()
    found = [e.batch().columns for e in subscription.get_many(100) if isinstance(e, StepsRecorded)]
    positions = [p for c in found for p in zip(c.env.tolist(), c.episode.tolist(), c.step.tolist(), strict=True)]
    assert positions == [(0, 0, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0), (1, 0, 2), (1, 1, 0)]
