"""Writes the episodes that spans are about, over `runbus.llm`: an agent is a stream, a call is a step."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from runbus.config.errors import ConfigError
from runbus.llm import Agent, Episode
from runbus.llm.call import Call
from runbus.otel.calls import HeldCall
from runbus.otel.reading import Reading
from runbus.recorder.absent import ABSENT
from runbus.recorder.complaints import Complaints
from runbus.recorder.row_words import Status

#: Spans and answers that a score may still come for.
_FOUND = 20_000
#: Names of agents; those of more share the stream of the last resort.
_AGENTS = 1000
#: Scores that came before their span.
_JUDGED = 1000
#: Calls of tools that an episode still knows who asked for.
_ASKED = 1000


class Ending(NamedTuple):
    """How an episode ended: its status, why, and what its agent said to the end."""

    status: Status = "ok"
    stop: str = ""
    answer: Any = ABSENT
    asked: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score as an event says it."""

    value: float | None
    name: str
    label: str
    text: str


class Placed(NamedTuple):
    """Where a span is in the log: an episode, and its row; None = the whole episode."""

    episode: Episode
    seq: int | None


class Episodes:
    """The streams of one process, and where in them each span is.

    Args:
        make: returns the agent of a name that was not there, below the agent of another, or below none.
        fallback: name of the agent whose spans do not say it.
        complaints: is told what is wrong.
    """

    def __init__(self, make: Callable[[str, Agent | None], Agent], fallback: str, complaints: Complaints) -> None:
        self._make = make
        self._fallback = fallback
        self._complaints = complaints
        self._agents: dict[str, Agent] = {fallback: make(fallback, None)}
        self._placed: OrderedDict[int | str, Placed] = OrderedDict()
        self._judged: OrderedDict[int | str, list[Verdict]] = OrderedDict()

    def agents(self) -> list[Agent]:
        """Return all that have a stream."""
        return list(self._agents.values())

    def agent(self, name: str, caller: str = "") -> Agent:
        """Return the agent of a name; a new one's stream was begun by that of its caller."""
        name = _as_id(name) or self._fallback
        found = self._agents.get(name)
        if found is None and len(self._agents) < _AGENTS:
            try:
                found = self._agents[name] = self._make(name, self._agents.get(_as_id(caller)))
            except ConfigError as error:
                self._complaints.say("names", "the agent %r is recorded as %r: %s", name, self._fallback, error)
        elif found is None:
            text = "there are more than %d names of agents: %r and others are recorded as %r. Name agents by their task"
            self._complaints.say("names", text, _AGENTS, name, self._fallback)
        return found or self._agents[self._fallback]

    def place(self, key: int | str, episode: Episode, seq: int | None) -> None:
        """Note where a span, or an answer by its id, is; what was said about it before is recorded now."""
        placed = self._placed[key] = Placed(episode, seq)
        if len(self._placed) > _FOUND:
            self._placed.popitem(last=False)
        for verdict in self._judged.pop(key, ()):
            _score(placed, verdict)

    def also(self, key: int | str, others: Iterable[int]) -> None:
        """Note that other spans are about what `key` is about."""
        placed = self._placed.get(key)
        if placed is not None:
            for other in others:
                self.place(other, *placed)

    def judge(self, keys: list[int | str], verdict: Verdict) -> None:
        """Record a score about the first of the keys that is known, or once it is."""
        placed = next((self._placed[key] for key in keys if key in self._placed), None)
        if placed is not None:
            _score(placed, verdict)
        elif keys:
            self._judged.setdefault(keys[0], []).append(verdict)
            while sum(map(len, self._judged.values())) > _JUDGED:
                self._lost(self._judged.popitem(last=False)[1])
        else:
            self._lost([verdict])

    def give_up_verdicts(self) -> None:
        """Count the scores whose span never came."""
        while self._judged:
            self._lost(self._judged.popitem(last=False)[1])

    def _lost(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            text = "the evaluation %r is about no span that was recorded, and is not kept"
            self._complaints.say("evaluations", text, verdict.name)


class SpanEpisode:
    """An episode that begins with its first call, or with its end.

    Args:
        episodes: where its agent's stream is.
        agent, caller: names.
        labels: of the episode.
        span: id of its agent's span, if there is one.
    """

    def __init__(
        self, episodes: Episodes, agent: str, labels: dict[str, str], caller: str = "", span: int | None = None
    ) -> None:
        self.agent = agent
        self._episodes = episodes
        self._labels = labels
        self._of = episodes.agent(agent, caller)  # here: whoever begins this agent's is there before
        self._span = span
        self._episode: Episode | None = None
        self._asked_by: dict[str, int | None] = {}  # id of a tool call -> row of the model that asked for it
        self._model: int | None = None

    @property
    def begun(self) -> bool:
        """Whether anything of it is written."""
        return self._episode is not None

    def write(self, call: HeldCall) -> None:
        """Write a call as the next step."""
        reading = call.reading
        episode = self._episode or self._begin(reading.asked if reading.kind == "model" else ABSENT)
        made = self._made(episode, reading)
        with made as under_way:
            answer = reading.error if reading.answer is ABSENT and reading.error else reading.answer
            under_way.returns(
                answer, usage=reading.usage, cost_usd=reading.cost_usd, status=reading.status, numbers=_numbers(call)
            )
        if reading.kind == "model":
            self._model = made.seq
            self._asked_by.update(dict.fromkeys(reading.calls, made.seq))
            while len(self._asked_by) > _ASKED:
                del self._asked_by[next(iter(self._asked_by))]
        for span in call.spans:
            self._episodes.place(span, episode, made.seq)
        if reading.id and reading.kind == "model":
            self._episodes.place(reading.id, episode, made.seq)

    def end(self, ending: Ending) -> None:
        """Write the end; an agent without any call has one step, with what it said to the end."""
        episode = self._episode
        if episode is None:
            episode = self._begin(ending.asked)
            if ending.answer is not ABSENT:
                episode.step(ending.answer, ABSENT, kind="agent", status=ending.status)
        episode.end(truncated=ending.status != "ok", stop=ending.stop, status=ending.status)

    def _begin(self, prompt: Any) -> Episode:  # noqa: ANN401
        episode = self._episode = self._of.episode(prompt, labels=self._labels)
        if self._span is not None:
            self._episodes.place(self._span, episode, None)
        return episode

    def _made(self, episode: Episode, reading: Reading) -> Call:
        if reading.kind == "model":
            return episode.model(None if reading.asked is ABSENT else reading.asked)
        arguments = None if reading.asked is ABSENT else reading.asked
        parent = self._asked_by.get(reading.id, self._model)
        if reading.kind == "judge":
            return episode.tool(reading.name, arguments, parent=parent, kind="judge")
        return episode.tool(reading.name, arguments, parent=parent)


def _numbers(call: HeldCall) -> dict[str, float]:
    found = {
        "duration_ms": (call.end - call.start) / 1e6,
        "otel.waited_ms": max(time.time_ns() - call.end, 0) / 1e6,
    }
    if call.dropped:
        found["otel.dropped_attributes"] = float(call.dropped)
    return found


def _score(placed: Placed, verdict: Verdict) -> None:
    placed.episode.score(
        verdict.value, name=verdict.name, label=verdict.label, text=verdict.text, judge="opentelemetry", seq=placed.seq
    )


def _as_id(name: str) -> str:
    """Return a name that a stream may have; a "/" is written as PettingZoo's agents have it, too."""
    kept = "".join("_" if not char.isprintable() else char for char in name.replace("/", "%2F"))
    return kept.encode("utf-8", "replace")[:255].decode("utf-8", "ignore")
