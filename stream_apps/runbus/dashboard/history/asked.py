"""Defines what a client may ask: the parameters of each question, in the query string."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

As = Literal["json", "columns", "csv", "arrow", "sql"]
Axis = Literal["seq", "episode", "time", "relative"]
By = Literal["run", "agent", "stream"]

_LARGEST = 2**63 - 1
Name = Annotated[str, Field(min_length=1, max_length=255)]
MaybeName = Annotated[str, Field(max_length=255)]
Attempt = Annotated[int, Field(ge=0, le=_LARGEST)]
Env = Annotated[int, Field(ge=0, lt=2**31)]
Step = Annotated[int, Field(ge=0, lt=2**31)]
Position = Annotated[int, Field(ge=-(2**62), le=2**62)]


class Asked(BaseModel):
    """What every question has."""

    form: As = Field("json", alias="as", description="form of the answer: docs/dashboard-api.md")


class OfRun(Asked):
    """A question about a run."""

    run: Name = Field(description="run_id")


class OfStreams(OfRun):
    """A question about the streams of a run, or some of them."""

    agent: MaybeName = Field("", description="agent_id; empty = all")
    attempt: Annotated[int, Field(ge=-1, le=_LARGEST)] = Field(-1, description="start of a stream in us; -1 = all")
    env: Annotated[int, Field(ge=-1, lt=2**31)] = Field(-1, description="index in a vector environment; -1 = all")

    @property
    def where(self) -> dict[str, object]:
        """Whose rows, as the queries name them."""
        return {"run": self.run, "agent": self.agent, "attempt": self.attempt, "env": self.env}


class OfCurve(OfStreams):
    """A curve of a run."""

    y: Name = Field("return", description="return, length, reward, team_return, steps_per_second, or a logged name")
    x: Axis = Field("seq", description="relative = microseconds since the run began")
    by: By = Field("run", description="whether each agent, or each stream, has bins of its own")
    start: Position = Field(-(2**62), alias="from", description="on x; widened to whole bins")
    end: Position = Field(2**62, alias="to", description="on x; widened to whole bins")
    bins: Annotated[int, Field(ge=1, le=4096)] = Field(1024, description="about how many bins: pixels")


class OfMetric(OfRun):
    """A metric of a run: what belongs to no step."""

    name: Annotated[str, Field(min_length=1, max_length=1000)] = Field(description="of the metric")
    axis: Annotated[str, Field(max_length=1000)] = Field("", description="what its positions count; empty = nothing")
    x: Literal["position", "time"] = Field("position", description="what x is")
    start: Position = Field(-(2**62), alias="from", description="on x; widened to whole bins")
    end: Position = Field(2**62, alias="to", description="on x; widened to whole bins")
    bins: Annotated[int, Field(ge=1, le=4096)] = Field(1024, description="about how many bins: pixels")


class OfNotes(OfStreams):
    """What was put on a run or written by it, or on one of its episodes."""

    episode: Annotated[int, Field(ge=-1, le=_LARGEST)] = Field(
        -1, description="of the agent, attempt and env; -1 = of the run and all that is in it"
    )

    @property
    def where(self) -> dict[str, object]:
        """Whose, as the queries name them."""
        return {**super().where, "episode": self.episode}


class OfMarks(OfRun):
    """What happened to a run."""

    x: Axis = Field("seq", description="as of its curves")


class OfList(Asked):
    """A page of a long list."""

    after: Annotated[str, Field(max_length=4000)] = Field("", description="`next` of the page before")
    most: Annotated[int, Field(ge=1, le=1000)] = Field(100, description="rows of a page")
    descending: bool = Field(True, description="the largest first")


class OfRuns(OfList):
    """A page of the list of runs."""

    q: Annotated[str, Field(max_length=2000)] = Field("", description="filter: docs/dashboard-api.md")
    sort: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        "started_at", description="a column, label.<name>, config.<path>, or the name of either"
    )


class OfEpisodes(OfStreams, OfList):
    """A page of the finalised episodes of a run."""

    sort: Literal["time", "return", "length", "episode", "missing"] = "time"


class OfTeams(OfRun, OfList):
    """A page of the episodes of a world."""


class OfEpisode(OfRun):
    """A question about one episode."""

    agent: Name = Field(description="agent_id")
    attempt: Attempt = Field(description="start of the stream in us")
    env: Env = Field(0, description="index in a vector environment")
    episode: Annotated[int, Field(ge=0, le=_LARGEST)] = Field(description="of the env, from 0")

    @property
    def where(self) -> dict[str, object]:
        """Whose rows, as the queries name them."""
        named = {"run": self.run, "agent": self.agent, "attempt": self.attempt}
        return {**named, "env": self.env, "episode": self.episode}


class OfSteps(OfEpisode):
    """A range of the steps of an episode."""

    start: Step = Field(0, alias="from", description="first step; 0 is the reset")
    end: Step = Field(2**31 - 1, alias="to", description="last step")
    values: Literal["both", "action", "observation", "none"] = Field("both", description="which to send")
    most: Annotated[int, Field(ge=1, le=100_000)] = Field(512, description="steps at most")


class OfCompare(Asked):
    """Runs beside each other: those that are named, or those that a filter keeps, in arms."""

    run: Annotated[list[Name], Field(max_length=500)] = Field([], description="run_id, again and again; or:")
    q: Annotated[str, Field(max_length=2000)] = Field("", description="filter of runs: docs/dashboard-api.md")
    group: Annotated[str, Field(max_length=255)] = Field(
        "", description="what an arm has in common: label.<name>, config.<path>, or the name of either; empty = a run"
    )
    strata: Annotated[str, Field(max_length=255)] = Field("", description="likewise, what is resampled apart: the task")
    replicates: Annotated[int, Field(ge=1, le=10_000)] = Field(2_000, description="of the bootstrap")


class OfScores(OfCompare):
    """The scores of arms."""

    over: Annotated[int, Field(ge=0, le=2**40)] = Field(100, description="newest episodes of a run that count; 0 = all")


class OfArmCurves(OfCompare):
    """The curves of arms."""

    x: Literal["seq", "episode"] = "seq"
    bins: Annotated[int, Field(ge=1, le=256)] = Field(64, description="about how many")
    replicates: Annotated[int, Field(ge=1, le=2_000)] = Field(500, description="of the bootstrap, in each bin")


class OfGroups(OfRun, OfList):
    """A page of the groups of a run: rollouts of one task, prompt or group."""

    agent: MaybeName = Field("", description="agent_id; empty = all")
    by: Name = Field("group", description="the label that a group has in common")
    policy: Annotated[str, Field(max_length=255)] = Field("", description="label `policy`; empty = all")
    score: Name = Field(
        "return", description="return, return_scored (with rewards that came late), or the name of a score"
    )
    success: Annotated[float, Field(allow_inf_nan=False)] = Field(1.0, description="a return from here on has passed")
    k: Annotated[list[Annotated[int, Field(ge=1, le=1_000_000)]], Field(max_length=16)] = Field(
        [1, 2, 4, 8, 16], description="of pass@k"
    )
    sort: Literal["std", "mean", "n", "passed", "spread"] = "std"
