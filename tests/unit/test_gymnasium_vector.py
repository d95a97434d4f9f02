"""`runbus.gymnasium.vector.RecordSteps`: vector environments behave as without it, and every episode is recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from runbus.config.errors import ConfigError
from runbus.gymnasium.vector import RecordSteps
from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded, StreamFinished
from tests.support import autoreset_matrix as matrix

ROOT = Path(__file__).parents[2]
BOX = spaces.Box(-1, 1, (2,), np.float32)


class Script(VectorEnv[Any, Any, Any]):
    """A vector environment of somebody else's: it returns what it is told to, and remembers what it got."""

    def __init__(self, space: spaces.Space[Any] = BOX, mode: object = AutoresetMode.NEXT_STEP, count: int = 2) -> None:
        self.num_envs = count
        self.single_observation_space, self.single_action_space = space, spaces.Discrete(3)
        self.observation_space = batch_space(space, count)
        self.action_space = batch_space(self.single_action_space, count)
        self.metadata = {} if mode is None else {"autoreset_mode": mode}
        self.results: list[Any] = []
        self.got: list[Any] = []
        self.fail: BaseException | None = None

    def reset(self, **given: Any) -> Any:
        """Return the next result, or a sample."""
        self.got.append(given)
        return self.results.pop(0) if self.results else (self.observation_space.sample(), {})

    def step(self, actions: Any) -> Any:
        """Return the next result, or a sample; write into the actions, as a careless environment does."""
        if self.fail is not None:
            raise self.fail
        self.got.append(actions)
        if isinstance(actions, np.ndarray):
            actions[:] = 2
        return self.results.pop(0) if self.results else step_result(self.observation_space.sample())


def step_result(observations: Any, *done: int, infos: Any = None, count: int = 2) -> tuple[Any, ...]:
    """Return what a vector step returns: the envs of `done` are terminated."""
    over = np.isin(np.arange(count), done)
    return observations, np.arange(count) + 0.5, over, np.zeros(count, np.bool_), {} if infos is None else infos


def wrapped(env: Any, **options: Any) -> tuple[RecordSteps, Subscription]:
    """Return the wrapped environment, and a subscription of what it records."""
    bus = RunBus()
    return RecordSteps(env, run="run-1", bus=bus, kafka=False, observations="all", **options), bus.subscribe("test")


def episodes(env: RecordSteps, subscription: Subscription) -> list[list[dict[str, Any]]]:
    """Close the stream; return the episodes of each environment."""
    env.recorder.close()
    return matrix.recorded(subscription, env.num_envs)


def infos(subscription: Subscription) -> list[Any]:
    """Return the info of every row."""
    batches = [e.batch() for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]
    return [json.loads(info) if info else {} for b in batches for info in b.info or [""] * b.header.count]


@pytest.mark.parametrize(("vectorise", "space"), [("sync", "box"), ("async", "box"), ("async", "text")])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_every_episode_is_what_its_environment_kept(mode: AutoresetMode, vectorise: str, space: str) -> None:
    """Ragged lengths, early and masked resets: lengths, returns and observations equal the environments' ledgers.

    Text has no shared memory: there, Gymnasium resets an environment that the loop reset behind its end once more.
    """
    assert sum(matrix.check(matrix.Play(mode, vectorise, space, steps=60), seed) for seed in range(2)) > 80


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("space", matrix.SPACES)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_every_space_is_recorded_exactly(mode: AutoresetMode, space: str, copy: bool) -> None:
    """Dict, Tuple, Text, scalars and images, also where the environment reuses its buffers (copy=False)."""
    assert matrix.check(matrix.Play(mode, "sync", space, copy=copy), seed=1) > 20


@pytest.mark.long
@pytest.mark.parametrize("version", ["installed", "1.1.1", "1.2.3", "1.3.0"])
def test_the_whole_matrix_on_each_gymnasium(version: str, tmp_path: Path) -> None:
    """Every mode, vectorisation and space, on the oldest and the newest Gymnasium that is supported, and between."""
    paths = [str(ROOT)]
    if version != "installed":
        uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*uv, "--target", str(tmp_path), f"gymnasium=={version}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"gymnasium {version} cannot be had here: {done.stderr[-200:]}")
        paths.insert(0, str(tmp_path))
    played = subprocess.run(
        [sys.executable, "-m", "tests.support.autoreset_matrix"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stderr[-2000:]
    expected = gymnasium.__version__ if version == "installed" else version
    assert played.stdout.startswith(f"gymnasium {expected}: ")


def test_everything_passes_through_as_the_same_objects() -> None:
    """Results are the environment's own; it gets the caller's actions, seeds and options."""
    script = Script()
    env, subscription = wrapped(script)
    first, result = (np.zeros((2, 2), np.float32), {"a": 1}), step_result(np.ones((2, 2), np.float32))
    script.results = [first, result]
    options, seeds, actions = {"x": 1}, [3, None], np.array([0, 1])
    assert env.reset(seed=seeds, options=options) is first
    assert env.step(actions) is result
    assert script.got[0]["seed"] is seeds
    assert script.got[0]["options"] is options
    assert options == {"x": 1}
    assert script.got[1] is actions
    assert actions.tolist() == [2, 2]  # the environment wrote into the caller's array, as without the wrapper
    ((one,), (other,)) = episodes(env, subscription)
    assert [one["steps"][0][0], other["steps"][0][0]] == [0, 1]  # recorded is what the agent gave
    assert (one["seed"], other["seed"]) == (3, None)


def test_the_options_of_a_reset_are_left_to_the_environment() -> None:
    """The mask is read before Gymnasium takes it out; an environment that leaves it there finds it as it was."""
    script, mask = Script(), np.array([False, True])
    env, subscription = wrapped(script)
    env.reset()
    options = {"reset_mask": mask, "difficulty": 2}
    env.reset(options=options)
    assert options == {"reset_mask": mask, "difficulty": 2}
    assert [len(found) for found in episodes(env, subscription)] == [1, 2]


@pytest.mark.parametrize("seed", [7, [7, 8], [None, 8], None])
def test_seeds_are_those_of_each_environment(seed: Any) -> None:
    """A number is that of the first environment, the next one has one more; autoresets have none."""
    env, subscription = wrapped(gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"))
    env.reset(seed=seed)
    for _ in range(60):
        env.step(env.action_space.sample())
    found = episodes(env, subscription)
    assert [each[0]["seed"] for each in found] == ([7, 8] if seed == 7 else seed or [None, None])
    assert {episode["seed"] for each in found for episode in each[1:]} == {None}


def test_one_generator_for_all_environments_has_one_seed() -> None:
    """A vector environment that seeds no environment by itself is recorded with the seed that it got."""
    env, subscription = wrapped(gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="vector_entry_point"))
    first, _ = env.reset(seed=7)
    found = episodes(env, subscription)
    assert [each[0]["seed"] for each in found] == [7, 7]
    assert [each[0]["first"].tolist() for each in found] == first.tolist()


@pytest.mark.parametrize("mode", ["same_step", "SAME-STEP", "SameStep", AutoresetMode.SAME_STEP])
def test_a_mode_may_be_a_word(mode: object) -> None:
    """Other libraries name the mode in their own way."""
    script = Script(mode=mode)
    env, subscription = wrapped(script)
    env.reset()
    script.results = [step_result(np.ones((2, 2), np.float32), 1, infos={"final_obs": np.zeros((2, 2), np.float32)})]
    env.step(np.zeros(2, np.int64))
    env.step(np.zeros(2, np.int64))
    zero, one = episodes(env, subscription)
    assert [len(episode["steps"]) for episode in zero] == [2]
    assert [len(episode["steps"]) for episode in one] == [1, 1]
    assert (one[0]["steps"][0][4].tolist(), one[1]["first"].tolist()) == ([0, 0], [1, 1])


def test_a_mode_that_nobody_names_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Without metadata it is NEXT_STEP, with a warning; with a word that means nothing it is refused."""
    script = Script(mode=None)
    env, subscription = wrapped(script)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "Script does not say in metadata['autoreset_mode']" in said
    env.reset()
    script.results = [step_result(np.ones((2, 2), np.float32), 0)]
    for _ in range(3):
        env.step(np.zeros(2, np.int64))
    assert [[len(episode["steps"]) for episode in each] for each in episodes(env, subscription)] == [[1, 1], [3]]
    with pytest.raises(ConfigError, match="is 'sometimes': it must be one of NEXT_STEP, SAME_STEP, DISABLED"):
        wrapped(Script(mode="sometimes"))


@pytest.mark.parametrize("given", [{}, {"final_info": {}}, {"final_obs": np.array([None, None], dtype=object)}])
def test_a_last_observation_that_is_thrown_away_is_never_the_resets(given: dict[str, Any]) -> None:
    """The last step is there, with its reward; the observation that was shown belongs to the reset behind it."""
    script = Script(mode=AutoresetMode.SAME_STEP)
    env, subscription = wrapped(script)
    env.reset()
    script.results = [step_result(np.ones((2, 2), np.float32), 1, infos=given)]
    env.step(np.zeros(2, np.int64))
    _, (ended, begun) = episodes(env, subscription)
    ((_, reward, terminated, truncated, seen),) = ended["steps"]
    assert (reward, terminated, truncated, seen) == (1.5, True, False, None)
    assert begun["first"].tolist() == [1, 1]


def test_what_the_environments_say_is_recorded_by_environment() -> None:
    """With record_info each row has its own; statistics of an episode are with its last step, above and below."""
    made = SyncVectorEnv([lambda: matrix.LedgerEnv("box", 0)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env, subscription = wrapped(RecordEpisodeStatistics(made), record_info=True)
    above = RecordEpisodeStatistics(env, stats_key="above")
    above.reset(seed=3)
    for _ in range(12):
        above.step(above.action_space.sample())
    env.recorder.close()
    batches = [e.batch() for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]
    rows = [
        (int(b.columns.step[i]), bool(b.columns.terminated[i] | b.columns.truncated[i]), json.loads(b.info[i]))
        for b in batches
        for i in range(b.header.count)
    ]
    assert all("first" in said and "left" not in said for step, _, said in rows if step == 0)
    assert all("left" in said for step, _, said in rows if step > 0)
    assert {"episode" in said for _, over, said in rows if over} == {True}
    assert {"episode" in said for _, over, said in rows if not over} == {False}
    assert not any("above" in said or "final_obs" in said for _, _, said in rows)


def test_infos_as_a_list() -> None:
    """DictInfoToList below: a dict for each environment, final observations included."""
    made = SyncVectorEnv([lambda: matrix.LedgerEnv("box", 0)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env, subscription = wrapped(DictInfoToList(made), record_info=True)
    env.reset(seed=3)
    for _ in range(12):
        env.step(env.action_space.sample())
    ledgers = made.get_attr("ledger")
    assert all(matrix.same(mine, found) for mine, found in zip(ledgers, episodes(env, subscription), strict=True))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Sequence(spaces.Box(-1, 1, (2,))),
        spaces.Graph(spaces.Box(-1, 1, (2,)), spaces.Discrete(3)),
        spaces.OneOf((spaces.Discrete(3), spaces.Box(-1, 1, (2,)))),
        spaces.Dict({}),
        spaces.Tuple(()),
        spaces.Box(-1, 1, (0,)),
        spaces.Dict({"s": spaces.Sequence(spaces.Discrete(3)), "t": spaces.Tuple((spaces.Text(3), BOX))}),
    ],
    ids=["sequence", "graph", "one of", "no dict", "no tuple", "no values", "nested"],
)
def test_other_spaces_are_recorded_row_by_row(space: spaces.Space[Any]) -> None:
    """Values that no array holds, and spaces without any: each environment's own value; nothing is left out."""
    env, subscription = wrapped(Script(space))
    shown, batched = [env.reset()[0]], env.observation_space
    shown += [env.step(np.zeros(2, np.int64))[0] for _ in range(3)]
    empty = isinstance(space, (spaces.Dict, spaces.Tuple)) and not space.spaces
    each = [[values] * 2 if empty else list(iterate(batched, values)) for values in shown]
    for number, found in enumerate(episodes(env, subscription)):
        seen = [found[0]["first"], *(step[4] for step in found[0]["steps"])]
        assert repr(list(map(plain, seen))) == repr([plain(values[number]) for values in each])
    stats = env.recorder.stats()
    assert stats["dropped"] == 0
    assert set(stats["complaints"]) <= {"layout"}  # type: ignore[arg-type] # another shape every time costs batches


def plain(value: Any) -> Any:
    """Return a value as plain Python."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return np.asarray(value).tolist()


def test_a_dict_of_each_environment_in_place_of_a_dict_of_arrays() -> None:
    """Some vector environments show Dict observations as a tuple with a dict each."""
    space = spaces.Dict({"a": BOX, "n": spaces.Discrete(5)})
    script = Script(space)
    env, subscription = wrapped(script)
    first = ({"a": np.zeros(2, np.float32), "n": 1}, {"a": np.ones(2, np.float32), "n": 2})
    script.results = [(first, {})]
    env.reset()
    ((zero,), (one,)) = episodes(env, subscription)
    assert (zero["first"]["a"].tolist(), one["first"]["a"].tolist(), int(one["first"]["n"])) == ([0, 0], [1, 1], 2)


def test_an_exception_of_the_environment_passes_and_is_the_outcome() -> None:
    """The same exception arrives; closing says failed, or completed if a reset followed."""
    outcomes = []
    for recovers in (False, True):
        script = Script()
        env, subscription = wrapped(script)
        env.reset()
        script.fail = RuntimeError("boom")
        with pytest.raises(RuntimeError) as caught:
            env.step(np.zeros(2, np.int64))
        assert caught.value is script.fail
        if recovers:
            env.reset()
        env.close()
        assert script.closed
        (finished,) = [e for e in subscription.get_many(100) if isinstance(e, StreamFinished)]
        outcomes.append((finished.outcome, finished.error))
    assert outcomes == [("failed", "RuntimeError: boom"), ("completed", "")]


@pytest.mark.parametrize("place", range(4), ids=["observations", "rewards", "terminated", "truncated"])
@pytest.mark.parametrize("wrong", [None, 5, "none", object(), np.zeros(7)], ids=["none", "5", "text", "object", "7"])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_nothing_of_a_strange_result_reaches_the_loop(mode: AutoresetMode, wrong: object, place: int) -> None:
    """What fits nothing counts as dropped; the caller gets it as it is, and the next step is recorded."""
    script = Script(mode=mode)
    env, _ = wrapped(script)
    env.reset()
    given = list(step_result(np.ones((2, 2), np.float32)))
    given[place] = wrong
    script.results = [tuple(given)]
    expected = script.results[0]
    assert env.step(np.zeros(2, np.int64)) is expected
    before = env.recorder.stats()["produced"]
    env.step(np.zeros(2, np.int64))
    stats = env.recorder.stats()
    assert (stats["produced"], before) == (int(str(before)) + 2, before)
    env.reset(options={"reset_mask": np.array([True, False])})
    assert env.recorder.stats()["produced"] == int(str(before)) + 3
    env.recorder.close()


def test_steps_after_close_are_counted() -> None:
    """A loop that goes on changes nothing in the closed stream."""
    env, _ = wrapped(Script())
    env.reset()
    env.close()
    env.step(np.zeros(2, np.int64))
    stats = env.recorder.stats()
    assert (stats["produced"], stats["after_close"]) == (2, 2)


def test_the_spec_stays_serialisable() -> None:
    """make_vec(env.spec) builds the environments again; the wrapper's own options are plain."""
    made = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    env, _ = wrapped(made, config={"lr": np.float32(0.5), "nested": [1]})
    assert env.spec is not None
    again = gymnasium.make_vec(EnvSpec.from_json(env.spec.to_json()), num_envs=2)
    assert again.num_envs == 2
    assert json.dumps(env._saved_kwargs, default=None)
    assert env._saved_kwargs["config"] == {"lr": 0.5, "nested": [1]}
    again.close()
    env.close()


def test_misuse_is_refused_where_it_is_written() -> None:
    """A single environment, no name, or two recorders: one clear error each."""
    with pytest.raises(ConfigError, match=r"CartPole.* is none: use runbus\.gymnasium\.RecordSteps|is none: use"):
        RecordSteps(gymnasium.make("CartPole-v1"), run="a")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="either recorder=, or run="):
        RecordSteps(Script())
    with pytest.raises(ConfigError, match="either recorder=, or run="):
        RecordSteps(Script(), Recorder("a", kafka=False), run="b")
