"""`RecordSteps`: the environment behaves as without it, and what happened is recorded."""

import gc
import json
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import Autoreset, TransformReward

from runbus.config.errors import ConfigError
from runbus.gymnasium import RecordSteps, space_json
from runbus.gymnasium.vector import RecordSteps as RecordVectorSteps
from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.schemas.batch import StepBatch
from runbus.schemas.layout import decode_value, unpack

SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (3,), np.float32),
    "box64": spaces.Box(-np.inf, np.inf, (2, 2), np.float64),
    "discrete": spaces.Discrete(5, start=-2),
    "multi_discrete": spaces.MultiDiscrete([3, 4]),
    "multi_binary": spaces.MultiBinary(4),
    "text": spaces.Text(8),
    "dict": spaces.Dict(
        {"a": spaces.Box(0, 1, (2,)), "n": spaces.Dict({"t": spaces.Text(4), "d": spaces.Discrete(3)})}
    ),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 255, (2, 2), np.uint8))),
}


class Probe(gymnasium.Env[Any, Any]):
    """Shows samples of a space, and returns objects of its own so that identity can be checked."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.observation_space = space
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.last: tuple[Any, ...] = ()
        self.fail: BaseException | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return a sample."""
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        result = (self.observation_space.sample(), {"options": options})
        self.last = result
        return result

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return a sample; write into the action, as a careless environment does."""
        if self.fail is not None:
            raise self.fail
        action[:] = 9
        result = (self.observation_space.sample(), 0.5, False, True, {"k": np.arange(2)})
        self.last = result
        return result


def wrapped(env: gymnasium.Env[Any, Any], **options: Any) -> tuple[RecordSteps, Subscription]:
    """Return the wrapped environment, and a subscription of what it records."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False, observations="all")
    return RecordSteps(env, recorder, **options), subscription


def batches(subscription: Subscription) -> list[StepBatch]:
    """Return the closed batches."""
    return [e.batch() for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]


def same(a: Any, b: Any) -> bool:
    """Whether two observations are equal, part by part, dtypes included."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, str):
        return bool(a == b)
    return np.asarray(a).dtype == np.asarray(b).dtype and bool(np.array_equal(a, b))


@pytest.mark.parametrize("name", SPACES)
def test_observations_of_every_space_are_recorded_exactly(name: str) -> None:
    """What the log holds decodes to what the environment showed."""
    env, subscription = wrapped(Probe(SPACES[name]))
    shown = [env.reset(seed=3)[0]]
    shown += [env.step(np.zeros(2, np.float32))[0] for _ in range(5)]
    env.recorder.close()
    found = batches(subscription)
    seen = [
        decode_value(b.header.observation, raw)
        for b in found
        for raw in unpack(b.header.observation, b.observation, b.header.count)
    ]
    assert len(seen) == 6
    assert all(same(a, b) for a, b in zip(shown, seen, strict=True))
    assert found[0].columns.seed is not None
    assert found[0].columns.seed[0] == 3


def test_everything_passes_through_as_the_same_objects() -> None:
    """Observation, info and reward are the environment's own objects; so is the action that it gets."""
    probe = Probe(SPACES["box"])
    env, subscription = wrapped(probe)
    observation, info = env.reset(options={"a": 1})
    assert observation is probe.last[0]
    assert info is probe.last[1]
    assert info == {"options": {"a": 1}}
    action = np.full(2, 0.25, np.float32)
    result = env.step(action)
    assert result is probe.last
    assert action.tolist() == [9, 9]  # the environment wrote into the caller's array, as without the wrapper
    env.recorder.close()
    (batch,) = batches(subscription)
    assert np.frombuffer(batch.action, "<f4").tolist() == [0, 0, 0.25, 0.25]  # recorded is what the agent gave
    assert batch.info == ()


def test_info_is_recorded_on_request() -> None:
    """With record_info the dictionaries are in the log, as JSON."""
    env, subscription = wrapped(Probe(SPACES["box"]), record_info=True)
    env.reset()
    env.step(np.zeros(2, np.float32))
    env.recorder.close()
    (batch,) = batches(subscription)
    assert [json.loads(i) for i in batch.info] == [{"options": None}, {"k": [0, 1]}]


def test_seeding_is_untouched() -> None:
    """The same seed gives the same trajectory with and without the wrapper."""

    def trajectory(env: gymnasium.Env[Any, Any]) -> list[list[float]]:
        found = [env.reset(seed=11)[0].tolist()]
        env.action_space.seed(5)
        return found + [env.step(env.action_space.sample())[0].tolist() for _ in range(20)]

    env, _ = wrapped(gymnasium.make("CartPole-v1"))
    assert trajectory(env) == trajectory(gymnasium.make("CartPole-v1"))


def test_gymnasium_accepts_the_wrapper(recwarn: pytest.WarningsRecorder) -> None:
    """Gymnasium's own checker finds nothing wrong with a wrapped environment."""
    env, _ = wrapped(gymnasium.make("CartPole-v1").unwrapped)
    check_env(env, skip_render_check=True)
    assert [str(w.message) for w in recwarn if "runbus" in str(w.message).lower()] == []


def test_an_exception_of_the_environment_passes_and_is_the_outcome() -> None:
    """The same exception object arrives; closing afterwards says failed; recovering by a reset says completed."""
    outcomes = []
    for recovers in (False, True):
        probe = Probe(SPACES["box"])
        bus = RunBus()
        subscription = bus.subscribe("test")
        env = RecordSteps(probe, run="run-1", bus=bus, kafka=False)
        env.reset()
        probe.fail = RuntimeError("boom")
        with pytest.raises(RuntimeError) as caught:
            env.step(np.zeros(2, np.float32))
        assert caught.value is probe.fail
        if recovers:
            env.reset()
        env.close()
        (finished,) = [e for e in subscription.get_many(100) if isinstance(e, StreamFinished)]
        outcomes.append((finished.outcome, finished.error))
    assert outcomes == [("failed", "RuntimeError: boom"), ("completed", "")]


def test_leaving_the_with_block_by_an_exception_is_the_outcome() -> None:
    """`with RecordSteps(...)` records a failure of the loop itself."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        RecordSteps(Probe(SPACES["box"]), run="run-1", bus=bus, kafka=False) as env,
    ):
        env.reset()
        _ = 1 / 0
    (finished,) = [e for e in subscription.get_many(100) if isinstance(e, StreamFinished)]
    assert (finished.outcome, finished.error) == ("failed", "ZeroDivisionError: division by zero")


def test_a_given_recorder_is_not_closed() -> None:
    """Who opened it closes it: several environments, one after the other, can share a recorder."""
    bus = RunBus()
    recorder = Recorder("run-1", bus=bus, kafka=False)
    for _ in range(2):
        env = RecordSteps(Probe(SPACES["box"]), recorder)
        env.reset()
        env.close()
    recorder.step(1, 1.0, False, False, 0.5)
    assert recorder.stats()["produced"] == 3
    recorder.close()


def test_the_spec_can_make_the_environment_again() -> None:
    """gymnasium.make(env.spec) builds the wrapper too, as a new attempt of the same run and agent."""
    env = RecordSteps(gymnasium.make("CartPole-v1"), run="run-1", agent="a", config={"lr": 0.1}, kafka=False)
    assert env.spec is not None
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, RecordSteps)
    assert (again.recorder.run, again.recorder.agent) == ("run-1", "a")
    assert again.recorder.attempt != env.recorder.attempt


def test_it_can_be_pickled_into_a_worker() -> None:
    """A wrapped environment that travels to another process records there as a new attempt."""
    env = RecordSteps(gymnasium.make("CartPole-v1"), run="run-1", kafka=False)
    env.reset(seed=1)
    other = pickle.loads(pickle.dumps(env))
    other.reset(seed=1)
    assert other.recorder.attempt != env.recorder.attempt
    assert other.recorder.stats()["produced"] == 1
    env.close()
    other.close()


def test_misuse_is_refused_where_it_is_written() -> None:
    """A vector environment, no name, or two recorders: one clear error each."""
    probe = Probe(SPACES["box"])
    with pytest.raises(ConfigError, match="either recorder=, or run="):
        RecordSteps(probe)
    with pytest.raises(ConfigError, match="either recorder=, or run="):
        RecordSteps(probe, Recorder("a", kafka=False), run="b")
    vector = gymnasium.make_vec("CartPole-v1", num_envs=2)
    with pytest.raises(ConfigError, match=r"a vector of them.*runbus.gymnasium.vector.RecordSteps"):
        RecordSteps(vector, run="a")  # type: ignore[arg-type]
    vector.close()


class Ragged(gymnasium.Env[Any, Any]):
    """Shows the number of the episode and of the step in it; episodes have 1, 2, 3, 1, ... steps."""

    observation_space = spaces.Box(0, 100, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, resets_itself: bool = False) -> None:
        self.episode, self.at, self._resets_itself = -1, 0, resets_itself

    def shown(self) -> Any:
        """Return the observation."""
        return np.array([self.episode, self.at], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        super().reset(seed=seed, options=options)
        self.episode, self.at = self.episode + 1, 0
        return self.shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return the next step, or, from an environment that resets itself, the first of the next episode at an end."""
        del action
        self.at += 1
        over = self.at == self.episode % 3 + 1
        if over and self._resets_itself:
            self.reset()
        return self.shown(), 1.0, over, False, {}


def episodes(subscription: Subscription) -> dict[int, list[list[tuple[int, float, bool, list[float]]]]]:
    """Return (step, reward, terminated, observation) of every row, by env and episode."""
    found: dict[int, list[list[tuple[int, float, bool, list[float]]]]] = {}
    for batch in batches(subscription):
        shown = [
            decode_value(batch.header.observation, raw)
            for raw in unpack(batch.header.observation, batch.observation, batch.header.count)
        ]
        c = batch.columns
        for i, seen in enumerate(shown):
            mine = found.setdefault(int(c.env[i]), [])
            mine.extend([] for _ in range(int(c.episode[i]) + 1 - len(mine)))
            mine[int(c.episode[i])].append((int(c.step[i]), float(c.reward[i]), bool(c.terminated[i]), seen.tolist()))
    return found


def test_gymnasiums_autoreset_below_has_true_lengths(caplog: pytest.LogCaptureFixture) -> None:
    """A step of the Autoreset wrapper that resets is the reset of the next episode, at any depth; nothing is said."""
    env, subscription = wrapped(TransformReward(Autoreset(Ragged()), float))
    env.reset()
    for _ in range(9):
        env.step(0)
    env.recorder.close()
    (found,) = episodes(subscription).values()
    assert [[(step, shown) for step, _, _, shown in rows] for rows in found] == [
        [(step, [episode, step]) for step in range(length + 1)] for episode, length in enumerate([1, 2, 3, 0])
    ]
    assert [[reward for _, reward, _, _ in rows] for rows in found] == [[0, 1], [0, 1, 1], [0, 1, 1, 1], [0]]
    assert caplog.records == []


@pytest.mark.parametrize("resets_itself", [True, False], ids=["resets itself", "no resets"])
def test_an_end_is_an_end_whoever_forgets_it(resets_itself: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An environment that resets itself, or a loop that does not: an episode for each end, begun without a reset."""
    env, subscription = wrapped(Ragged(resets_itself))
    env.reset()
    for _ in range(6):
        env.step(0)
    env.recorder.close()
    (found,) = episodes(subscription).values()
    if resets_itself:
        assert [[step for step, _, _, _ in rows] for rows in found] == [[0, 1], [1, 2], [1, 2, 3]]
        assert [rows[-1][2] for rows in found] == [True] * 3
    else:
        assert [[step for step, _, _, _ in rows] for rows in found] == [[0, 1], [1, 2, 3, 4, 5]]
    (said,) = [record.getMessage() for record in caplog.records]
    assert "env 0 of run-1/agent-0 was stepped behind the end of its episode" in said


def test_wrappers_that_share_a_recorder_have_an_env_each() -> None:
    """Train and eval, a vector of wrapped environments, a vector wrapper: no rows of two environments are mixed."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False, observations="all")
    train, evaluation = RecordSteps(Ragged(), recorder), RecordSteps(Ragged(), recorder)
    inside = SyncVectorEnv([lambda: RecordSteps(Ragged(), recorder)] * 2)
    outside = RecordVectorSteps(SyncVectorEnv([Ragged] * 2), recorder)
    for env in (train, evaluation):
        env.reset()
    inside.reset()
    outside.reset()
    for _ in range(3):
        for env in (train, evaluation):
            if env.step(0)[2]:
                env.reset()
        inside.step(np.zeros(2, np.int64))
        outside.step(np.zeros(2, np.int64))
    recorder.close()
    found = episodes(subscription)
    assert sorted(found) == list(range(6))
    for rows in found.values():
        assert len(rows) >= 2
        assert [[shown for _, _, _, shown in each] for each in rows] == [
            [[number, step] for step, _, _, _ in each] for number, each in enumerate(rows)
        ]


def test_an_env_is_free_again_once_its_wrapper_is_closed_or_forgotten() -> None:
    """A loop that wraps one environment after the other does not run through the indices; nothing is kept alive."""
    recorder = Recorder("run-1", kafka=False)
    for number in range(3):
        env = RecordSteps(Ragged(), recorder)
        env.reset()
        if number:
            env.close()
        del env
        gc.collect()
    first = RecordSteps(Ragged(), recorder)
    first.reset()
    first.close()
    second = RecordSteps(Ragged(), recorder)
    second.reset()
    first.reset()  # it is used after all
    first.step(0)
    assert recorder.reserve_envs().envs == range(2, 3)
    assert recorder.stats()["episodes"] == 6
    recorder.close()


def test_spaces_are_plain_json() -> None:
    """A reader without Gymnasium sees type, shape, dtype and bounds; wide bounds are summarised; no NaN words."""
    found = {name: json.loads(space_json(space)) for name, space in SPACES.items()}
    assert found["box"] == {"type": "Box", "shape": [3], "dtype": "float32", "low": [-1.0] * 3, "high": [1.0] * 3}
    assert found["box64"]["low"] == [["-Infinity"] * 2] * 2
    assert found["discrete"] == {"type": "Discrete", "shape": [], "dtype": "int64", "n": 5, "start": -2}
    assert found["multi_discrete"]["nvec"] == [3, 4]
    assert found["dict"]["spaces"]["n"]["spaces"]["t"] == {
        "type": "Text",
        "dtype": "str",
        "min_length": 1,
        "max_length": 4,
    }
    assert [part["type"] for part in found["tuple"]["spaces"]] == ["Discrete", "Box"]
    image = json.loads(space_json(spaces.Box(0, 255, (84, 84, 3), np.uint8)))
    assert (image["low"], image["high"], image["shape"]) == (0, 255, [84, 84, 3])
    assert json.loads(space_json(spaces.Sequence(spaces.Discrete(2))))["type"] == "Sequence"


class Lists(Probe):
    """Shows its observations as lists, as environments do that were written without NumPy."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return a sample as a list."""
        observation, info = super().reset(seed=seed, options=options)
        return observation.tolist(), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return a sample as a list."""
        observation, *rest = super().step(action)
        return (observation.tolist(), *rest)


@pytest.mark.parametrize("given", [False, True], ids=["its own recorder", "a given recorder"])
def test_the_space_of_the_environment_says_what_values_are(given: bool) -> None:
    """Lists become arrays of the space's dtype, and the space is in the log, whoever made the recorder."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    space = spaces.Box(0, 1, (3,), np.float32)
    recorder = Recorder("run-1", bus=bus, kafka=False) if given else None
    options: dict[str, Any] = {} if given else {"run": "run-1", "bus": bus, "kafka": False}
    env = RecordSteps(Lists(space), recorder, **options)
    env.reset(seed=1)
    env.step(np.zeros(2, np.float32))
    env.recorder.close()
    events = subscription.get_many(1000)
    (batch,) = [e.batch() for e in events if isinstance(e, StepsRecorded)]
    assert (batch.header.observation.dtype, batch.header.observation.shape) == ("<f4", (3,))
    assert events[0].event.observation_space == space_json(space)
