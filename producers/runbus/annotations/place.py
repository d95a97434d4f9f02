"""Says what an annotation is on: a run, an agent, an episode or a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbus.config.errors import ConfigError, InvalidValue
from runbus.kafka.topics import check_id

_NUMBERS = {"attempt": 63, "env": 31, "episode": 63, "step": 31}  # bits of each in the log


@dataclass(frozen=True, slots=True)
class Place:
    """What an annotation is on; what is not said is not meant.

    Attributes:
        run: name of the run.
        agent: name of the agent; empty = the whole run.
        attempt: of the agent, as `runbus run show` says it; 0 = whichever.
        env: index of the environment; None = the first one, where an episode is said.
        episode: its number; without an agent, that of all agents.
        step: its number in the episode.

    Raises:
        ConfigError: no run or agent can have that name, a number that none can be, or a step of no episode.
    """

    run: str
    agent: str = ""
    attempt: int = 0
    env: int | None = None
    episode: int | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        try:
            check_id("run_id", self.run)
            if self.agent:
                check_id("agent_id", self.agent)
        except InvalidValue as error:
            raise ConfigError(str(error)) from error
        for name, bits in _NUMBERS.items():
            number = getattr(self, name)
            if number is not None and not 0 <= number < 2**bits:
                raise ConfigError(f"{name} {number} is none: give a number from 0 to {2**bits - 1}")
        if self.attempt and not self.agent:
            raise ConfigError("an attempt is of an agent: say which (--agent, agent=)")
        if self.episode is None and (self.env is not None or self.step is not None):
            raise ConfigError("an env or a step is of an episode: say which (--episode, episode=)")

    def fields(self) -> dict[str, Any]:
        """Return what the record says about it."""
        env = 0 if self.env is None and self.episode is not None else self.env
        numbers = {"env": env, "episode": self.episode, "step": self.step}
        return {
            "run_id": self.run,
            "agent_id": self.agent,
            "attempt": self.attempt,
            **{name: -1 if number is None else number for name, number in numbers.items()},
        }
