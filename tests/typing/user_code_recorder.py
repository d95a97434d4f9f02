"""What users write, checked by mypy --strict: nothing here is run."""

from collections.abc import Hashable

import gymnasium
import numpy as np

from runbus.gymnasium import RecordSteps
from runbus.gymnasium.vector import RecordSteps as RecordVectorSteps
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import ABSENT, Policy, Recorder, RunBus, Subscription, SubscriptionStats


def record_by_hand() -> bool:
    """Use every call of a recorder."""
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:9092")
    with Recorder(
        run="run-1", agent="agent-0", config={"lr": 1e-3}, settings=settings, observations="auto"
    ) as recorder:
        recorder.reset(np.zeros(4), seed=1, info={"level": 3}, env=0, tick=0)
        recorder.step(1, 1.0, False, False, np.zeros(4), info=None, env=0, tick=1)
        recorder.step({"tool": "search"}, np.float32(0), np.bool_(True), False, "an answer")
        recorder.reset_vector(np.zeros((2, 4)), seeds=[1, None], mask=[True, False])
        recorder.step_vector(np.zeros(2), [0.0, 1.0], np.zeros(2, bool), [False, False], np.zeros((2, 4)), resets=None)
        recorder.log({"loss": 0.5, "lr": np.float64(1e-3)})
        asked: int | None = recorder.reset("question", seed=2**128, labels={"task": "sort", "version": 3})
        recorder.step("answer", 1.0, True, False, ABSENT, kind="model", status="length", parent=asked, stop="max_turns")
        Recorder("run-1", "sub-agent", parent=recorder, parent_seq=0, labels={"team": "a"}, tags=["x"]).close()
        other: str = recorder.stream_id
        Recorder("run-1", "elsewhere", parent=other).close()
    recorder.close("interrupted", "stopped by hand")
    attempt: int = recorder.attempt
    return recorder.flush(timeout=1.0) and attempt > 0


def first_letter(event: str) -> Hashable:
    """Return the key to conflate by."""
    return event[0]


def use_the_bus(policy: Policy) -> int:
    """Subscribe, read, count."""
    bus = RunBus()
    subscription: Subscription = bus.subscribe("page", policy, 100, 1_000_000, key=first_letter)
    bus.publish("event", events=1, nbytes=5)
    stats: SubscriptionStats = bus.stats()["page"]
    for event in subscription:
        print(event)
    subscription.close()
    return stats.dropped_events + subscription.position


def record_an_environment(recorder: Recorder) -> gymnasium.Env[np.ndarray, int]:
    """Wrap an environment, with a recorder of its own or a given one."""
    own = RecordSteps(gymnasium.make("CartPole-v1"), run="run-1", agent="agent-0", record_info=True)
    own.close()
    return RecordSteps(gymnasium.make("CartPole-v1"), recorder)


def record_a_vector(recorder: Recorder) -> None:
    """Wrap a vector environment, or call the recorder with arrays."""
    envs = RecordVectorSteps(gymnasium.make_vec("CartPole-v1", num_envs=2), recorder, record_info=True)
    envs.reset(seed=[1, None], options={"reset_mask": np.array([True, False])})
    observations, rewards, terminated, truncated, infos = envs.step(np.zeros(2, np.int64))
    recorder.step_vector(
        [0, 1], rewards, terminated, truncated, observations, infos=infos, envs=[3, 1], extras={"value": [0.5, 0.25]}
    )
    recorder.reset_vector(observations, envs=np.array([3, 1]), infos=[{}, {"a": 1}])
    envs.close()
