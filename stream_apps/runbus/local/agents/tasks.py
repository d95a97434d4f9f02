"""Lists the tasks of the demo's agents: an environment, a policy that can solve it, and the settings of the search."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.local.agents.learner import CartPolePolicy, CrossEntropySettings, PendulumPolicy


@dataclass(frozen=True, slots=True)
class Task:
    """One environment and its learner."""

    env_id: str
    policy: type[CartPolePolicy] | type[PendulumPolicy]
    search: CrossEntropySettings


TASKS: dict[str, Task] = {
    "cartpole": Task("CartPole-v1", CartPolePolicy, CrossEntropySettings(extra_std=0.3)),
    "pendulum": Task(
        "Pendulum-v1",
        PendulumPolicy,
        CrossEntropySettings(population=40, elites=10, first_std=3.0, extra_std=1.0),
    ),
}
