"""`runbus.rllib`: whose steps are recorded under which name. The real RLlib: tests/integration/rllib."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers.vector import DictInfoToList

from runbus.gymnasium.vector import RecordSteps
from runbus.rllib import RecordRunners
from runbus.rllib.names import agent_of, run_of


def runner(env: Any = None, *, index: int | None = 1, evaluates: bool = False, trial: str | None = "default") -> Any:
    """Return what RLlib hands to a callback, of an environment runner that has just made its environments."""
    made = DictInfoToList(gymnasium.make_vec("CartPole-v1", 2, "sync")) if env is None else env
    return SimpleNamespace(
        env=made, worker_index=index, tune_trial_id=trial, config=SimpleNamespace(in_evaluation=evaluates)
    )


@pytest.mark.parametrize(
    ("given", "agent", "run"),
    [
        ({}, "runner-1", "ppo"),
        ({"index": 0}, "runner-0", "ppo"),
        ({"index": None}, "runner-0", "ppo"),
        ({"evaluates": True}, "eval-1", "ppo"),
        ({"trial": "a1b2_00003"}, "runner-1", "ppo-a1b2_00003"),
        ({"trial": None}, "runner-1", "ppo"),
    ],
)
def test_each_runner_is_an_agent_and_each_trial_a_run(given: dict[str, Any], agent: str, run: str) -> None:
    """Evaluations have the same indices as the others; a runner in the driver has none, or 0."""
    made = runner(**given)
    assert (agent_of(made.worker_index, evaluates=made.config.in_evaluation), run_of("ppo", made.tune_trial_id)) == (
        agent,
        run,
    )
    pickle.loads(pickle.dumps(RecordRunners("ppo", kafka=False))).wrap(env_runner=made)
    recorded = made.env.env
    assert isinstance(recorded, RecordSteps)
    assert (recorded.recorder.run, recorded.recorder.agent) == (run, agent)
    made.env.close()


def test_what_a_runner_steps_is_recorded_below_rllibs_own_wrapper() -> None:
    """Infos come as lists, as RLlib wants them; rows are those of the environments."""
    made = runner()
    RecordRunners("ppo", kafka=False).wrap(env_runner=made)
    made.env.reset(seed=1)
    *_, infos = made.env.step(np.zeros(2, np.int64))
    assert isinstance(infos, list)
    made.env.close()
    assert made.env.env.recorder.stats()["produced"] == 4


def test_what_is_no_vector_environment_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Worlds of several agents."""
    world = object()
    made = runner(world)
    with caplog.at_level(logging.WARNING, "runbus"):
        RecordRunners("ppo", kafka=False).wrap(env_runner=made)
    assert made.env is world
    assert "runbus.pettingzoo" in caplog.text


def test_no_error_of_recording_ends_a_training(caplog: pytest.LogCaptureFixture) -> None:
    """A name that no run may have, results that are none: logged, and the environments stay."""
    made = runner()
    before = made.env.env
    recording = RecordRunners("a/b", kafka=False)
    recording.wrap(env_runner=made)
    recording.take(algorithm=SimpleNamespace(trial_id="default"), result={})
    assert made.env.env is before
    assert "not recorded" in caplog.text
    made.env.close()


def test_results_are_numbers_on_the_axis_of_env_steps() -> None:
    """Nested ones, with their names; the configuration is that of the source, and no metric."""
    algorithm = SimpleNamespace(
        trial_id="t1", config=SimpleNamespace(to_dict=lambda: {"lr": 0.5, "env": "CartPole-v1", "callbacks": object()})
    )
    recording = RecordRunners("ppo", kafka=False)
    result = {
        "num_env_steps_sampled_lifetime": 200.0,
        "env_runners": {"episode_return_mean": np.float64(15.5), "text": "no"},
        "config": {"lr": 0.5},
        "hostname": "here",
        "learners": {"default": {"loss": 0.25, "module": object()}},
    }
    for _ in range(2):
        recording.take(algorithm=algorithm, result=result)
    metrics = recording._metrics
    assert metrics is not None
    assert metrics.stats()["left_out"] == 0
    assert metrics.stats()["produced"] == 2 * 3
    assert pickle.loads(pickle.dumps(recording))._metrics is None
    metrics.close()


@pytest.mark.parametrize(
    ("folder", "trial"),
    [
        ("working_dirs/PPO_CartPole-v1_fa183_00002_2_lr=0.1_2026-11-29_14-42-00", "fa183_00002"),
        ("working_dirs/my-own-name", "my-own-name"),
        ("elsewhere", ""),
    ],
)
def test_the_process_of_a_trial_knows_whose_it_is_and_tells_its_runners(
    folder: str, trial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune puts it in a folder; elsewhere, or where Tune is told not to, there is no trial."""
    recording = RecordRunners("ppo", kafka=False)
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    sent = pickle.dumps(recording)
    monkeypatch.chdir(tmp_path)
    made = runner()
    pickle.loads(sent).wrap(env_runner=made)
    assert made.env.env.recorder.run == (f"ppo-{trial}" if trial else "ppo")
    made.env.close()
