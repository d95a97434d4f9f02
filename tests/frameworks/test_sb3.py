"""`runbus.sb3` around the real Stable-Baselines3: what is recorded is the environments' ledger, and nobody notices.

PyTorch is large: `make test-frameworks` has an environment of its own, elsewhere these tests are skipped.
"""

from __future__ import annotations

import logging
import re
import runpy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnvWrapper, VecFrameStack, VecNormalize

from runbus.config.errors import ConfigError
from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.sb3 import MetricsCallback, MetricsWriter, RecordVecEnv
from tests.support.autoreset_matrix import LedgerEnv, recorded, same
from tests.support.recorded_metrics import Recorded
from tests.support.recorded_rows import RecordedRow, batches_of, rows_of

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)  # networks of this size are quicker so, and others work here too

Episodes = list[list[dict[str, Any]]]
PPO_QUICK = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "device": "cpu", "seed": 7}


class ManyActions(LedgerEnv):
    """The same, for algorithms that want numbers as actions."""

    def __init__(self, number: int) -> None:
        super().__init__("box", number)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)


def ledger_envs(count: int = 3, space: str = "box", kind: Any = DummyVecEnv) -> Any:
    """Return environments that write down what happened."""
    return kind([partial(LedgerEnv, space, number) for number in range(count)])


def following() -> tuple[RunBus, Subscription]:
    """Return a bus and what is published on it."""
    bus = RunBus()
    return bus, bus.subscribe("test", max_events=1_000_000, max_bytes=1_000_000_000)


def shown(ledgers: Episodes, number: type[np.floating[Any]]) -> Episodes:
    """Return what a VecEnv lets through of the ledgers: rewards as `number`, and one of two ends."""
    return [
        [
            {**life, "steps": [(a, float(number(r)), over, cut and not over, o) for a, r, over, cut, o in steps]}
            for life in episodes
            for steps in [life["steps"]]
        ]
        for episodes in ledgers
    ]


def check(ledgers: Episodes, found: Episodes, number: type[np.floating[Any]] = np.float32) -> int:
    """Compare; return how many episodes there were."""
    for mine, theirs in zip(shown(ledgers, number), found, strict=True):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            assert same(one, other), (one, other)
    return sum(map(len, ledgers))


def rows(subscription: Subscription) -> list[RecordedRow]:
    """Return the rows that came."""
    return [row for batch in batches_of(subscription.get_many(100_000)) for row in rows_of(batch)]


def wrapped(bus: RunBus, envs: Any = None, **options: Any) -> RecordVecEnv:
    """Return recorded environments."""
    return RecordVecEnv(envs if envs is not None else ledger_envs(), run="ppo", bus=bus, kafka=False, **options)


@pytest.mark.parametrize(
    ("kind", "number"), [(DummyVecEnv, np.float32), (partial(SubprocVecEnv, start_method="fork"), np.float64)]
)
@pytest.mark.parametrize("space", ["box", "scalar", "dict"])
def test_what_learn_does_is_the_ledger_of_the_environments(kind: Any, number: Any, space: str) -> None:
    """The quick start: every episode with its seed, actions, rewards, ends and true last observations."""
    bus, subscription = following()
    inner = ledger_envs(space=space, kind=kind)
    env = wrapped(bus, inner)
    model = PPO("MultiInputPolicy" if space == "dict" else "MlpPolicy", env, **PPO_QUICK)
    model.learn(200)
    ledgers = inner.get_attr("ledger")
    env.close()
    found = recorded(subscription, 3)
    assert check(ledgers, found, number) > 60
    assert [episodes[0]["seed"] for episodes in found] == [7, 8, 9]


def test_a_training_is_the_same_with_and_without_the_wrapper() -> None:
    """Same seeds, same weights: SB3's quick start, on its own environment."""

    def trained(wrap: bool) -> tuple[Any, list[RecordedRow]]:
        bus, subscription = following()
        envs = make_vec_env("CartPole-v1", n_envs=4, seed=3)
        model = PPO("MlpPolicy", wrapped(bus, envs) if wrap else envs, **PPO_QUICK)
        model.learn(512)
        model.get_env().close()
        return model.get_parameters()["policy"], rows(subscription)

    (plain, _), (seen, found) = trained(wrap=False), trained(wrap=True)
    assert all((plain[name] == seen[name]).all() for name in plain)
    assert sum(row.step > 0 for row in found) == 512


def test_algorithms_that_learn_from_a_buffer_are_recorded_too() -> None:
    """DQN and SAC: one environment, actions that the algorithm rescales; recorded is what the environment got."""
    bus, subscription = following()
    inner = DummyVecEnv([partial(ManyActions, 0)])
    model = SAC("MlpPolicy", wrapped(bus, inner), learning_starts=20, buffer_size=100, device="cpu", seed=1)
    model.learn(60)
    ledgers = inner.get_attr("ledger")
    model.get_env().close()
    assert check(ledgers, recorded(subscription, 1)) > 10
    bus, subscription = following()
    env = wrapped(bus, make_vec_env("CartPole-v1", n_envs=1))
    DQN("MlpPolicy", env, learning_starts=20, buffer_size=100, device="cpu").learn(60)
    env.close()
    assert sum(row.step > 0 for row in rows(subscription)) == 60


def test_results_are_the_same_objects() -> None:
    """Observations, rewards, flags and infos: what the environment returned, untouched."""
    given: list[Any] = []

    class Below(VecEnvWrapper):  # type: ignore[misc] # the package is not there where types are checked
        """Remembers what it returns."""

        def reset(self) -> Any:
            """Reset."""
            given.append(self.venv.reset())
            return given[-1]

        def step_wait(self) -> Any:
            """Step."""
            given.append(self.venv.step_wait())
            return given[-1]

    env = wrapped(RunBus(), Below(ledger_envs()), record_info=True)
    got = [env.reset(), *(env.step(np.zeros((3, 2), np.int64)) for _ in range(20))]
    assert all(one is other for one, other in zip(got, given, strict=True))
    assert any("terminal_observation" in info for *_, infos in got[1:] for info in infos)
    env.close()


def test_below_vecnormalize_the_environments_own_numbers_are_recorded() -> None:
    """VecNormalize writes into infos and rewards above; PPO adds the value of what was cut off to the rewards."""
    bus, subscription = following()
    inner = ledger_envs()
    model = PPO("MlpPolicy", VecNormalize(VecFrameStack(wrapped(bus, inner), 2)), **PPO_QUICK)
    model.learn(200)
    ledgers = inner.get_attr("ledger")
    model.get_env().close()
    assert check(ledgers, recorded(subscription, 3)) > 60


def test_above_vecnormalize_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Normalised numbers are recorded if one insists."""
    with caplog.at_level(logging.WARNING, "runbus"):
        wrapped(RunBus(), VecNormalize(ledger_envs())).close()
    assert "below" in caplog.text


def test_an_evaluation_is_an_agent_of_its_own() -> None:
    """EvalCallback, wrapped as the training is: both ledgers, each under its name, and VecNormalize is kept in step."""
    bus, subscription = following()
    train, test = (
        ledger_envs(),
        ledger_envs(1, kind=lambda fns: DummyVecEnv([lambda fn=fn: Monitor(fn()) for fn in fns])),
    )
    evaluated = VecNormalize(wrapped(bus, test, agent="eval"), training=False, norm_reward=False)
    model = PPO("MlpPolicy", VecNormalize(wrapped(bus, train)), **PPO_QUICK)
    model.learn(200, callback=EvalCallback(evaluated, eval_freq=20, n_eval_episodes=4, verbose=0, warn=False))
    ledgers = {"agent-0": train.get_attr("ledger"), "eval": test.get_attr("ledger")}
    model.get_env().close()
    evaluated.close()
    events = subscription.get_many(100_000)
    for agent, ledger in ledgers.items():
        mine = RunBus()
        again = mine.subscribe("again", max_events=100_000)
        for event in events:
            if isinstance(event, StepsRecorded) and event.batch().header.agent_id == agent:
                mine.publish(event)
        assert check(ledger, recorded(again, len(ledger))) > 10


def test_a_second_set_of_environments_goes_on_in_the_same_record() -> None:
    """`set_env` between two `learn()`: the next envs of the recorder; nothing of the first ones is overwritten."""
    bus, subscription = following()
    first, second = ledger_envs(2), ledger_envs(2)
    with Recorder("ppo", bus=bus, kafka=False) as recorder:
        model = PPO("MlpPolicy", RecordVecEnv(first, recorder), **PPO_QUICK)
        model.learn(64)
        model.set_env(RecordVecEnv(second, recorder))
        model.learn(64, reset_num_timesteps=False)
        ledgers = [*first.get_attr("ledger"), *second.get_attr("ledger")]
    assert check(ledgers, recorded(subscription, 4)) > 30


def test_infos_belong_to_the_episode_that_they_are_of() -> None:
    """The last info of an episode, Monitor's statistics in it, is with its last step; the reset's with the reset."""
    bus, subscription = following()
    env = wrapped(bus, DummyVecEnv([lambda: Monitor(LedgerEnv("box", 0))]), record_info=True)
    env.reset()
    for _ in range(12):
        env.step(np.zeros((1, 2), np.int64))
    env.close()
    found = rows(subscription)
    resets, ends = [row for row in found if row.step == 0], [row for row in found if any(row.over)]
    assert [row.info for row in resets] == [f'{{"first":{n + 1}}}' for n in range(len(resets))]
    assert ends
    assert all('"left":0' in str(row.info) and '"episode":{' in str(row.info) for row in ends)
    assert not any("TimeLimit" in str(row.info) or "terminal_observation" in str(row.info) for row in found)


class Forgets(DummyVecEnv):  # type: ignore[misc] # as above
    """Throws last observations away, and returns its rewards as it keeps them."""

    def step_wait(self) -> Any:
        """Step."""
        observations, rewards, dones, infos = super().step_wait()
        for info in infos:
            info.pop("terminal_observation", None)
        return observations, rewards, dones, infos


def test_a_last_observation_that_is_thrown_away_is_absent() -> None:
    """Never the first one of the next episode in its place."""
    bus, subscription = following()
    inner = ledger_envs(kind=Forgets)
    env = wrapped(bus, inner)
    env.reset()
    for _ in range(30):
        env.step(np.zeros((3, 2), np.int64))
    ledgers = inner.get_attr("ledger")
    env.close()
    for episodes in ledgers:
        for life in episodes:
            life["steps"] = [(*step[:4], None if step[2] or step[3] else step[4]) for step in life["steps"]]
    check(ledgers, recorded(subscription, 3))


def test_an_error_of_an_environment_passes_and_is_the_outcome() -> None:
    """The same object; the stream says what it was."""
    error = RuntimeError("the arm fell off")

    class Breaks(DummyVecEnv):  # type: ignore[misc] # as above
        """Breaks."""

        def step_wait(self) -> Any:
            """Break."""
            raise error

    bus, subscription = following()
    env = wrapped(bus, ledger_envs(kind=Breaks))
    env.reset()
    with pytest.raises(RuntimeError) as raised:
        env.step(np.zeros((3, 2), np.int64))
    assert raised.value is error
    env.close()
    finished = [event for event in subscription.get_many(100) if isinstance(event, StreamFinished)]
    assert [(event.outcome, "fell off" in event.error) for event in finished] == [("failed", True)]


def test_what_is_no_vecenv_is_refused_with_what_to_do() -> None:
    """A single environment."""
    with pytest.raises(ConfigError, match="make_vec_env"):
        RecordVecEnv(LedgerEnv("box", 0), run="ppo")


# --- what the learner says ------------------------------------------------------------------------------------------


def test_the_callback_records_every_dump_and_the_last_update() -> None:
    """Two `learn()` with one callback: the dumps of both; the last update's losses, which SB3 never dumps."""
    heard = Recorded()
    metrics = heard.metrics()
    callback = MetricsCallback(metrics)
    model = PPO("MlpPolicy", "CartPole-v1", **PPO_QUICK)
    model.learn(96, callback=callback)
    model.learn(64, callback=[callback], reset_num_timesteps=False)
    metrics.close()
    found = heard.values()
    assert {axis for _, axis, _, _ in found} == {"env_steps"}
    assert [at for name, _, at, _ in found if name == "time/iterations"] == [32, 64, 96, 128, 160]
    assert [at for name, _, at, _ in found if name == "train/loss"] == [64, 96, 96, 160, 160]


def test_the_callback_leaves_a_logger_of_the_users_as_it_was() -> None:
    """Its writer is in it during a training only, once, whatever else is."""
    heard = Recorded()
    mine = heard.metrics("mine")
    logger = Logger(None, [MetricsWriter(mine)])
    callback = MetricsCallback(heard.metrics())
    model = PPO("MlpPolicy", "CartPole-v1", **PPO_QUICK)
    model.set_logger(logger)
    model.learn(64, callback=callback)
    model.learn(64, callback=callback)
    assert len(logger.output_formats) == 1
    assert callback._on_step() is True


@pytest.mark.usefixtures("no_broker")
def test_a_models_settings_are_the_configuration() -> None:
    """Of a source that the callback makes itself."""
    callback = MetricsCallback("ppo-1", "learner-9")
    PPO("MlpPolicy", "CartPole-v1", gamma=0.5, **PPO_QUICK).learn(32, callback=callback)
    assert callback._writer is not None
    source = callback._writer._target.metrics
    assert '"gamma":0.5' in source._source._given.config
    callback.close()


# --- the example and the page ---------------------------------------------------------------------------------------


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no broker at the end: there is none."""
    monkeypatch.setenv("RUNBUS_RECORDER_FLUSH_SECONDS", "0")


@pytest.mark.usefixtures("no_broker")
def test_the_example_learns_and_is_recorded() -> None:
    """examples/frameworks/sb3_cartpole.py as it stands: every step is a row, nothing complains."""
    said = runpy.run_path(str(ROOT / "examples" / "frameworks" / "sb3_cartpole.py"))
    stats = said["recorded"].recorder.stats()
    assert (stats["produced"] - stats["episodes"], stats["complaints"]) == (said["model"].num_timesteps, {})
    assert said["evaluated"].recorder.stats()["episodes"] >= 10


@pytest.mark.usefixtures("no_broker")
def test_the_page_says_what_runs() -> None:
    """The snippets of docs/sb3.md, one after the other."""
    page = (ROOT / "docs" / "sb3.md").read_text(encoding="utf-8")
    said: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(code, said)
    assert said["env"].recorder.stats()["complaints"] == said["evaluated"].recorder.stats()["complaints"] == {}
