"""Vector calls give the rows that the same steps one by one give."""

from typing import Any

import numpy as np
import pytest

from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import NO_SEED, StepBatch, decode, encode
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


def recorder_on() -> tuple[Recorder, Subscription]:
    """Return a recorder and a subscription of its bus."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    return Recorder("run-1", bus=bus, kafka=False), subscription


def recorded(recorder: Recorder, subscription: Subscription) -> list[StepBatch]:
    """Close the stream and return its batches."""
    recorder.close()
    return [decode(encode(e.batch())) for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]


def seeds_of(batch: StepBatch) -> list[int | None]:
    """Return the seed of every row."""
    plain = np.full(batch.header.count, NO_SEED) if batch.columns.seed is None else batch.columns.seed
    texts = batch.large_seeds or ("",) * batch.header.count
    return [
        int(text) if text else None if seed == NO_SEED else seed
        for seed, text in zip(plain.tolist(), texts, strict=True)
    ]


def shown(batches: list[StepBatch]) -> list[tuple[int, str]]:
    """Return env and observation of every row."""
    return [(row[1], row[-1]) for row in rows(batches)]


@pytest.mark.parametrize("observations", [np.zeros((2, 1)), ["a", "b"]], ids=["array", "text"])
def test_no_seed_takes_its_row_with_it(observations: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A seed of any size is recorded; what is no integer is left out, and said once; the rows stay."""
    recorder, subscription = recorder_on()
    recorder.reset_vector(observations, seeds=[1, 2**63])
    recorder.reset_vector(observations, seeds=["x", 2**200])  # type: ignore[list-item]
    recorder.reset_vector(observations, seeds=[1.5, np.uint64(2**64 - 1)])  # type: ignore[list-item]
    found = recorded(recorder, subscription)
    assert (recorder.stats()["produced"], recorder.stats()["dropped"]) == (6, 0)
    assert [seed for batch in found for seed in seeds_of(batch)] == [1, 2**63, None, 2**200, None, 2**64 - 1]
    assert len([r for r in caplog.records if "seed" in r.getMessage()]) == 1
    assert recorder.stats()["complaints"] == {"left out seed": 2}


@pytest.mark.parametrize("tick", [2**63, "x"], ids=["too large", "text"])
def test_a_bad_tick_is_refused_at_the_call(tick: Any) -> None:
    """Reset and step count their rows as dropped, and the counters advance once."""
    recorder, subscription = recorder_on()
    step = (np.zeros(2), np.zeros(2), [False] * 2, [False] * 2, np.zeros((2, 1)))
    recorder.reset_vector(np.zeros((2, 1)), tick=tick)
    recorder.step_vector(*step, tick=tick)
    recorder.step_vector(*step, tick=7)
    (batch,) = recorded(recorder, subscription)
    assert recorder.stats()["dropped"] == 4
    assert (batch.header.first_seq, batch.header.dropped) == (4, 4)
    assert (batch.columns.episode.tolist(), batch.columns.step.tolist()) == ([0, 0], [2, 2])


@pytest.mark.parametrize(
    "observations",
    [
        np.array([[0.0], [1.0], [2.0]]),
        [0.0, 1.0, 2.0],
        [np.array([0.0]), np.array([1.0]), np.array([2.0])],
        {"a": np.array([[0], [1], [2]]), "b": np.array([[0.5], [1.5], [2.5]])},
        (np.array([[0], [1], [2]]), np.array([[0.5], [1.5], [2.5]])),
        ["zero", "one", "two"],
        ("zero", "one", "two"),
    ],
    ids=["array", "numbers", "arrays", "dict", "tuple", "list of text", "tuple of text"],
)
def test_masked_resets_record_the_rows_of_the_mask(observations: Any) -> None:
    """The rows of the mask are those of the same reset without one, whatever the observations are."""
    whole, some = recorder_on(), recorder_on()
    whole[0].reset_vector(observations)
    some[0].reset_vector(observations, mask=[True, False, True])
    everything = shown(recorded(*whole))
    assert len(everything) == 3
    assert shown(recorded(*some)) == [everything[0], everything[2]]
    assert (some[0].stats()["produced"], some[0].stats()["dropped"]) == (2, 0)


def test_only_the_rows_of_the_mask_are_refused() -> None:
    """A masked reset that cannot be recorded drops its own rows, not those of the other envs."""
    recorder, _ = recorder_on()
    recorder.reset_vector(np.zeros((3, 1)), tick=2**63, mask=[True, False, False])
    assert (recorder.stats()["produced"], recorder.stats()["dropped"]) == (1, 1)
    assert recorder.stats()["episodes"] == 1


def test_a_failing_row_counts_once() -> None:
    """Rows that are recorded one by one go on after one that cannot be."""
    recorder, subscription = recorder_on()
    recorder.step_vector(np.zeros(3), np.zeros(3), [False] * 3, [False] * 3, ["a", object(), "c"])
    recorder.reset_vector(["a", object(), "c"])
    found = recorded(recorder, subscription)
    stats = recorder.stats()
    assert (stats["produced"], stats["dropped"]) == (6, 2)
    assert shown(found) == [(0, "'a'"), (2, "'c'")] * 2


def test_a_call_without_rows_is_ignored() -> None:
    """No environment, no row: neither counts nor the row after it change."""
    recorder, subscription = recorder_on()
    recorder.step_vector(np.zeros(0), np.zeros(0), [], [], np.zeros((0, 4)))
    recorder.step_vector([], [], [], [], [])
    recorder.reset_vector(np.zeros((0, 4)))
    recorder.reset_vector(np.zeros((2, 1)), mask=[False, False])
    recorder.log({"loss": 0.5})
    recorder.step(1, 1.0, False, False, 0.5)
    (batch,) = recorded(recorder, subscription)
    assert (batch.header.first_seq, batch.header.count) == (0, 1)
    assert [(e.name, e.rows.tolist()) for e in batch.extras] == [("loss", [0])]
    assert recorder.stats()["complaints"] == {}
