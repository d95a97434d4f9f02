"""Defines what a client may ask about a whole episode, a world, or all transcripts; see asked.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runbus.dashboard.history.asked import Attempt, Env, MaybeName, Name, OfEpisode, OfRun, OfStreams, Step

_LARGEST = 2**63 - 1
Number = Annotated[int, Field(ge=0, le=_LARGEST)]


class OfBins(OfEpisode):
    """An episode in bins of steps."""

    width: Annotated[int, Field(ge=1, lt=2**31)] = Field(1, description="steps a bin")


class OfOutline(OfEpisode):
    """The outline of an episode."""

    start: Step = Field(0, alias="from", description="its first step")


class OfJump(OfEpisode):
    """A step of an episode to go to."""

    kind: Literal[
        "next_reward",
        "previous_reward",
        "next_error",
        "previous_error",
        "next_action",
        "previous_action",
        "largest_reward",
    ] = Field(description="a reward that is not 0, a status error or timeout, an action that is not the one before")
    start: Step = Field(0, alias="from", description="the step to go from")


class OfTwo(OfEpisode):
    """Two episodes."""

    with_run: MaybeName = Field("", description="run_id of the other; empty = the same")
    with_agent: Name = Field(description="agent_id of the other")
    with_attempt: Attempt = Field(description="start of the other's stream in us")
    with_env: Env = Field(0, description="env of the other")
    with_episode: Number = Field(description="of that env, from 0")

    @property
    def other(self) -> dict[str, object]:
        """Whose rows the other's are, as the query names them."""
        named = {
            "with_run": self.with_run or self.run,
            "with_agent": self.with_agent,
            "with_attempt": self.with_attempt,
        }
        return {**named, "with_env": self.with_env, "with_episode": self.with_episode}


class OfSearch(OfStreams):
    """A word in the texts of a run."""

    q: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="what to look for; case does not matter"
    )
    episode: Annotated[int, Field(ge=-1, le=_LARGEST)] = Field(-1, description="of the env; -1 = all")
    most: Annotated[int, Field(ge=1, le=10_000)] = Field(1000, description="hits at most")


class OfWorld(OfRun):
    """One episode of a world: of all agents of a run."""

    env: Env = Field(0, description="index in a vector environment")
    episode: Number = Field(description="of the env, from 0")

    @property
    def where(self) -> dict[str, object]:
        """Whose rows, as the queries name them."""
        return {"run": self.run, "env": self.env, "episode": self.episode}


class OfTicks(OfWorld):
    """A range of the ticks of a world."""

    start: Number = Field(0, alias="from", description="first tick")
    end: Number = Field(_LARGEST, alias="to", description="last tick")
    most: Annotated[int, Field(ge=1, le=100_000)] = Field(10_000, description="steps at most, of all agents")
