"""Vector calls give the rows that the same steps one by one give."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.gymnasium import space_json
from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import NO_SEED, StepBatch
from runbus.schemas.layout import Layout, Omitted, decode_value, unpack
from tests.support.recorded_rows import batches_of

COUNT, STEPS = 3, 40
SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (3,), np.float32),
    "discrete": spaces.Discrete(5, start=-2),
    "multi_discrete": spaces.MultiDiscrete([3, 4]),
    "multi_binary": spaces.MultiBinary(4),
    "text": spaces.Text(8),
    "numbers": spaces.Dict({"a": spaces.Box(0, 1, (2,)), "n": spaces.Dict({"d": spaces.Discrete(3)})}),
    "dict": spaces.Dict({"a": spaces.Box(0, 1, (2,)), "n": spaces.Dict({"t": spaces.Text(4)})}),
    "pair": spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 255, (2, 2), np.uint8))),
    "tuple": spaces.Tuple((spaces.Text(3), spaces.Box(0, 1, (2,)))),
    "sequence": spaces.Sequence(spaces.Discrete(4), seed=1),
    "graph": spaces.Graph(spaces.Box(0, 1, (3,)), spaces.Discrete(4), seed=2),
    "one_of": spaces.OneOf((spaces.Discrete(3), spaces.Box(0, 1, (2,)))),
}


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, part by part; a tuple of numbers may have become an array."""
    if isinstance(a, dict):
        return isinstance(b, dict) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple) and not isinstance(b, np.ndarray):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, str) or a is None:
        return bool(a == b)
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


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
    return batches_of(subscription.get_many(1000))


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


def recorder_on(**options: Any) -> tuple[Recorder, Subscription]:
    """Return a recorder and a subscription of its bus."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    return Recorder("run-1", bus=bus, kafka=False, **options), subscription


def recorded(recorder: Recorder, subscription: Subscription) -> list[StepBatch]:
    """Close the stream and return its batches."""
    recorder.close()
    return batches_of(subscription.get_many(1000))


def shown(batches: list[StepBatch]) -> list[tuple[int, str]]:
    """Return env and observation of every row."""
    return [(row[1], row[-1]) for row in rows(batches)]


def marks(batches: list[StepBatch], part: str) -> list[int]:
    """Return the seq of the rows that are without a part."""
    return [
        b.header.first_seq + row
        for b in batches
        for e in b.extras
        if e.name == f"left_out.{part}"
        for row in e.rows.tolist()
    ]


@pytest.mark.parametrize("seeds", [[1, 1.5], [1, "x"], [1]], ids=["fraction", "text", "too few"])
@pytest.mark.parametrize("observations", [np.zeros((2, 1)), ["a", "b"]], ids=["array", "text"])
def test_a_bad_seed_is_left_out(seeds: Any, observations: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The reset of that env is recorded without it and says so; it is said once."""
    recorder, subscription = recorder_on()
    for _ in range(2):
        recorder.reset_vector(observations, seeds=seeds)
    recorder.step_vector(np.zeros(2), np.zeros(2), [False] * 2, [False] * 2, observations)
    found = recorded(recorder, subscription)
    assert (recorder.stats()["produced"], recorder.stats()["dropped"]) == (6, 0)
    assert marks(found, "seed") == [1, 3]
    assert [s for b in found if b.columns.seed is not None for s in b.columns.seed.tolist() if s != NO_SEED] == [1, 1]
    assert found[-1].columns.episode.tolist()[-2:] == [1, 1]
    assert len([r for r in caplog.records if "without its seed" in r.getMessage()]) == 1


@pytest.mark.parametrize("observations", [np.zeros((2, 1)), ["a", "b"]], ids=["array", "text"])
def test_seeds_of_any_size_are_exact(observations: Any) -> None:
    """Gymnasium takes any non-negative integer; numpy's entropy has 128 bits."""
    recorder, subscription = recorder_on()
    recorder.reset_vector(observations, seeds=[1, 2**63])
    recorder.reset_vector(observations, seeds=[2**200, np.uint64(2**64 - 1)])  # type: ignore[list-item]
    found = [seed for batch in recorded(recorder, subscription) for seed in seeds_of(batch)]
    assert found == [1, 2**63, 2**200, 2**64 - 1]


def seeds_of(batch: StepBatch) -> list[int | None]:
    """Return the seed of every row."""
    plain = np.full(batch.header.count, NO_SEED) if batch.columns.seed is None else batch.columns.seed
    texts = batch.large_seeds or ("",) * batch.header.count
    return [
        int(text) if text else None if seed == NO_SEED else seed
        for seed, text in zip(plain.tolist(), texts, strict=True)
    ]


@pytest.mark.parametrize("tick", [2**63, "x"], ids=["too large", "text"])
def test_a_bad_tick_is_left_out(tick: Any) -> None:
    """Reset and step are recorded without a tick, and say so."""
    recorder, subscription = recorder_on()
    step = (np.zeros(2), np.zeros(2), [False] * 2, [False] * 2, np.zeros((2, 1)))
    recorder.reset_vector(np.zeros((2, 1)), tick=tick)
    recorder.step_vector(*step, tick=tick)
    recorder.step_vector(*step, tick=7)
    (batch,) = recorded(recorder, subscription)
    assert recorder.stats()["dropped"] == 0
    assert batch.columns.tick is not None
    assert batch.columns.tick.tolist() == [-1] * 4 + [7] * 2
    assert batch.columns.step.tolist() == [0, 0, 1, 1, 2, 2]
    assert marks([batch], "tick") == [0, 1, 2, 3]


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


def test_one_bad_env_costs_that_value_only() -> None:
    """A value of one env that nothing holds is left out of its row; the rows of all envs are there."""
    recorder, subscription = recorder_on()
    recorder.step_vector(np.zeros(3), np.zeros(3), [False] * 3, [False] * 3, ["a", object(), "c"])
    recorder.reset_vector(["a", object(), "c"])
    rewards_now: Any = [1.0, "x", 3.0]
    flags_now: Any = [False, Hostile(), True]
    recorder.step_vector([0, 1j, 2], rewards_now, flags_now, [False] * 3, np.zeros((3, 1)))
    found = recorded(recorder, subscription)
    assert (recorder.stats()["produced"], recorder.stats()["dropped"]) == (9, 0)
    assert shown(found)[:6] == [(0, "'a'"), (1, "None"), (2, "'c'")] * 2
    assert (marks(found, "observation"), marks(found, "reward"), marks(found, "action")) == ([1, 4], [7], [7])
    rewards = [reward for b in found for reward in b.columns.reward.tolist()]
    assert rewards[6] == 1.0
    assert np.isnan(rewards[7])
    assert rewards[8] == 3.0
    flags = [flag for b in found for flag in b.columns.terminated.tolist()]
    assert flags[6:] == [0, 0, 1]
    assert marks(found, "terminated") == [7]


class Hostile:
    """A value without truth."""

    def __bool__(self) -> bool:
        raise RuntimeError("no truth here")


def test_values_of_other_numbers_of_envs_are_left_out() -> None:
    """Rewards say how many envs there are; actions or observations for others are no part of any row."""
    recorder, subscription = recorder_on()
    rewards, flags = np.ones(2), np.zeros(2, bool)
    recorder.step_vector(np.zeros(3), rewards, flags, flags, np.zeros((2, 1)))
    recorder.step_vector(np.zeros(2), rewards, flags, flags, np.zeros((3, 1)))
    recorder.step_vector(np.zeros(2), rewards, flags, flags, np.zeros((2, 1)))
    found = recorded(recorder, subscription)
    assert [reward for b in found for reward in b.columns.reward.tolist()] == [1.0] * 6
    assert (marks(found, "action"), marks(found, "observation")) == ([0, 1], [2, 3])
    assert [(b.header.action.dtype, b.header.observation.dtype) for b in found] == [
        ("omitted:json", "<f8"),
        ("<f8", "omitted:json"),
        ("<f8", "<f8"),
    ]


@pytest.mark.parametrize("rewards", [np.ones((2, 1), np.float32), [1, 1.0], [np.array([1.0]), np.float32(1)], (1, 1)])
def test_rewards_of_any_form_are_numbers(rewards: Any) -> None:
    """A column of shape (n, 1), lists and scalars of any kind."""
    recorder, subscription = recorder_on()
    flags = np.zeros((2, 1), bool)
    recorder.step_vector(np.zeros(2), rewards, flags, flags, np.zeros((2, 1)))
    (batch,) = recorded(recorder, subscription)
    assert batch.columns.reward.tolist() == [1.0, 1.0]
    assert recorder.stats()["complaints"] == {}


# --- whether a tuple is a batch -----------------------------------------------------------------------------------

PAIR = (np.full((2, 1), 1.0), np.full((3, 1), 2.0))


def test_a_tuple_of_arrays_for_several_numbers_of_envs_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Without a space it is read by Gymnasium's rule, the parts of a Tuple space; these disagree, so none is kept."""
    recorder, subscription = recorder_on()
    recorder.reset_vector(PAIR)
    recorder.step_vector(np.zeros(2), np.ones(2), [False] * 2, [True] * 2, PAIR)
    (batch,) = recorded(recorder, subscription)
    assert batch.header.observation.dtype == "omitted:json"
    assert batch.columns.reward.tolist() == [1.0, 1.0]
    assert all("the parts of a tuple are for [2, 3] environments" in r.getMessage() for r in caplog.records)


def test_a_space_decides_what_a_tuple_is() -> None:
    """The same tuple is one value an env for a Box, and two parts for a Tuple."""
    square = (np.full((2, 1), 1.0), np.full((2, 1), 2.0))
    box = '{"type": "Box", "shape": [2, 1], "dtype": "float64"}'
    for space, expected in (
        (box, [[[1.0], [1.0]], [[2.0], [2.0]]]),
        (f'{{"type": "Tuple", "spaces": [{box}, {box}]}}', None),
    ):
        recorder, subscription = recorder_on(observation_space=space)
        recorder.reset_vector(square)
        (batch,) = recorded(recorder, subscription)
        found = [
            decode_value(batch.header.observation, v) for v in unpack(batch.header.observation, batch.observation, 2)
        ]
        if expected:
            assert [value.tolist() for value in found] == expected
        else:
            assert [tuple(part.tolist() for part in value) for value in found] == [([1.0], [2.0])] * 2


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", SPACES)
def test_batches_of_every_space_are_the_values_of_each_env(name: str, count: int) -> None:
    """What Gymnasium makes of n samples of a space is stored as these samples, with the space and without it."""
    space = SPACES[name]
    space.seed(3)
    samples = [space.sample() for _ in range(count)]
    batched = batch_of(space, samples)
    for known in ("", space_json(space)):
        recorder, subscription = recorder_on(observation_space=known, observations="all")
        recorder.reset_vector(batched)
        found = recorded(recorder, subscription)
        if name not in ("sequence", "graph"):  # their shapes change: that this ends batches is said
            assert recorder.stats()["complaints"] == {}
        seen = [
            decode_value(b.header.observation, v)
            for b in found
            for v in unpack(b.header.observation, b.observation, b.header.count)
        ]
        assert all(same(a, b) for a, b in zip(samples, seen, strict=True))
        if name in COLUMNS:
            assert len(found) == 1


COLUMNS = ("box", "discrete", "multi_discrete", "multi_binary", "numbers", "pair")


def batch_of(space: gymnasium.Space[Any], samples: list[Any]) -> Any:
    """Return what Gymnasium's vector environments make of samples."""
    buffer: Any = create_empty_array(space, len(samples))
    return concatenate(space, samples, buffer)


def test_dicts_of_arrays_are_columns() -> None:
    """A call with dicts or tuples of arrays is one block, as arrays are: no loop over the envs."""
    for shown_now in (
        {"a": np.zeros((4, 2)), "b": {"c": np.zeros(4, np.int8)}},
        (np.zeros((4, 2)), (np.zeros(4, np.int8),)),
        {"a": np.zeros((4, 2)), "image": np.zeros((4, 8, 8, 3), np.uint8)},
    ):
        bus = RunBus()
        subscription = bus.subscribe("test")
        recorder = Recorder("run-1", bus=bus, kafka=False)
        for _ in range(3):
            recorder.step_vector(shown_now, np.zeros(4), [False] * 4, [False] * 4, shown_now)
        recorder.close()
        (event,) = [e for e in subscription.get_many(10) if isinstance(e, StepsRecorded)]
        assert len(event.blocks) == 3


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_calls_of_any_dtypes_give_the_numbers_that_were_given(data: st.DataObject) -> None:
    """Dtypes that change from call to call, single calls among them: the same numbers, in one layout in the end."""
    recorder, subscription = recorder_on()
    ledger: list[Any] = []
    dtypes = data.draw(st.lists(st.sampled_from(["<f4", "<f8", "|i1", ">i2", "|b1", "list"]), min_size=1, max_size=8))
    for i, dtype in enumerate(dtypes):
        numbers = np.array([[i, 1], [2, i]])
        column: Any = numbers.tolist() if dtype == "list" else numbers.astype(dtype)
        if data.draw(st.booleans()):
            recorder.step_vector(np.zeros(2), np.zeros(2), [False] * 2, [False] * 2, {"a": column})
            ledger += [np.asarray(row).tolist() for row in column]
        else:
            recorder.step(0.0, 0.0, False, False, {"a": np.asarray(column)[0]})
            ledger.append(np.asarray(column)[0].tolist())
    found = recorded(recorder, subscription)
    seen = [
        decode_value(b.header.observation, v)["a"].tolist()
        for b in found
        for v in unpack(b.header.observation, b.observation, b.header.count)
    ]
    assert seen == ledger
    assert recorder.stats()["complaints"] == {}


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


@pytest.mark.parametrize("which", [{"mask": [True, False, True]}, {"envs": [0, 2]}])
def test_resets_without_observations_are_resets(which: dict[str, Any]) -> None:
    """Whoever was reset is said by the mask or the envs."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    with Recorder("run-1", bus=bus, kafka=False) as recorder:
        recorder.reset_vector(None, **which)
        assert recorder.stats()["complaints"] == {}
    assert [batch.columns.env.tolist() for batch in batches_of(subscription.get_many(10))] == [[0, 2]]


def test_values_that_the_caller_leaves_out_are_omitted_as_what_they_are() -> None:
    """`Omitted()` for all environments of a call: no bytes, no complaint, and the layout of those that are recorded."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    with Recorder("run-1", bus=bus, kafka=False) as recorder:
        flags = np.zeros(2, bool)
        recorder.step_vector(Omitted(), [0, 1], flags, flags, Omitted())
        recorder.step_vector(np.zeros(2, np.int8), [0, 1], flags, flags, np.zeros((2, 3), np.float32))
        recorder.step_vector(Omitted(), [0, 1], flags, flags, Omitted())
        recorder.reset_vector(Omitted(), envs=[0, 1])
        assert recorder.stats()["complaints"] == {}
    found = [(batch.header.action.dtype, batch.header.observation) for batch in batches_of(subscription.get_many(10))]
    left = Layout("omitted:<f4", (3,), 0)
    assert found[:2] == [("omitted:json", Layout("omitted:json", (), 0)), ("|i1", Layout("<f4", (3,), 12))]
    assert {layout for _, layout in found[2:]} == {left}
