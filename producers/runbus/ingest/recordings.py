"""Makes the calls of recorders that a dialect's acts stand for: a recorder for each agent of each run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from runbus.ingest.acts import (
    Act,
    Begin,
    Ended,
    Judged,
    LeftOut,
    Numbers,
    Passed,
    Restarted,
    Started,
    Step,
    Unknown,
    Who,
    Wrote,
)
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.recorder.row_words import StepWords
from runbus.recorder.score import ScoreWords
from runbus.schemas.events import Outcome

#: Makes the recorder of an agent, from what was said of it.
NewRecorder = Callable[[Who, Started], Recorder]


def recorder_of(
    who: Who, said: Started, *, bus: RunBus, settings: KafkaSettings | None = None, kafka: bool = True
) -> Recorder:
    """Return a recorder of all that an agent observes, with what was said of it; `bus`, ...: see Recorder."""
    return Recorder(
        who.run,
        who.agent,
        config=said.config,
        observation_space=said.observation_space or None,
        action_space=said.action_space or None,
        labels=said.labels,
        tags=said.tags,
        observations="all",
        bus=bus,
        settings=settings,
        kafka=kafka,
    )


@dataclass(slots=True)
class _Stream:
    """A recorder, and what its rows are called.

    Attributes:
        rows: name -> seq, of the episode that runs in each env.
        at_us: wall time of the row that is being recorded; None = now.
    """

    recorder: Recorder
    rows: dict[int, dict[object, int | None]] = field(default_factory=dict)
    at_us: int | None = None

    def now_ns(self) -> int:
        """Return the wall time of the row that is being recorded."""
        return time.time_ns() if self.at_us is None else self.at_us * 1000


@dataclass(slots=True)
class Made:
    """What was recorded, counted.

    Attributes:
        dropped: rows that the recorders gave up.
        passed, unknown: documents by kind.
        left_out: what -> (how often, bytes).
    """

    streams: int = 0
    episodes: int = 0
    steps: int = 0
    metrics: int = 0
    scores: int = 0
    artifacts: int = 0
    dropped: int = 0
    undelivered: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)


class Recordings:
    """Records acts.

    Args:
        new_recorder: makes the recorder of an agent at its first act.
    """

    def __init__(self, new_recorder: NewRecorder) -> None:
        self._new_recorder = new_recorder
        self._said: dict[Who, Started] = {}
        self._streams: dict[Who, _Stream] = {}
        self._closed: list[Recorder] = []
        self.made = Made()

    def take(self, act: Act) -> None:
        """Record one act. It never raises for a value: the recorder leaves out what it cannot keep, and says so."""
        match act:
            case Begin():
                self._begin(act)
            case Step():
                self._step(act)
            case Numbers():
                self._stream(act.who).recorder.metrics(
                    act.values, step=act.step, axis=act.axis, time=_seconds(act.at_us)
                )
                self.made.metrics += len(act.values)
            case Judged():
                self._judge(act)
            case Wrote():
                self._stream(act.who).recorder.artifact(
                    act.path, type=act.type, step=act.step, time=_seconds(act.at_us)
                )
                self.made.artifacts += 1
            case Started():
                self._said[Who(act.run, act.agent)] = act
            case Restarted():
                self._end(act.who, "interrupted", "the worker began again")
            case Ended():
                for who in [one for one in self._streams if one.run == act.run and act.agent in ("", one.agent)]:
                    self._end(who, act.outcome, act.error)
                self._said.pop(Who(act.run, act.agent), None)
            case Passed():
                self.made.passed[act.kind] += 1
            case Unknown():
                self.made.unknown[act.kind] += 1
            case LeftOut():
                count, size = self.made.left_out.get(act.what, (0, 0))
                self.made.left_out[act.what] = count + 1, size + act.size

    def close(self, outcome: Outcome, error: str) -> None:
        """End the streams that are open."""
        for who in list(self._streams):
            self._end(who, outcome, error)

    def close_begun(self, outcome: Outcome, error: str) -> None:
        """End the open streams of the runs that said that they begin."""
        for who in [one for one in self._streams if Who(one.run, "") in self._said]:
            self._end(who, outcome, error)

    def flush(self, timeout: float) -> bool:
        """Wait until all is delivered or dropped; return whether it was within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        done = True
        for recorder in self._open():
            done = recorder.flush(max(0.0, deadline - time.monotonic())) and done
        if done:
            self._count(self._closed)
            self._closed = []
        return done

    def count_undelivered(self) -> None:
        """Count what will not be delivered any more: the process ends."""
        self._count(self._open())
        self._closed = []

    def _open(self) -> Iterator[Recorder]:
        yield from self._closed
        for stream in self._streams.values():
            yield stream.recorder

    def _count(self, recorders: Iterator[Recorder] | list[Recorder]) -> None:
        for recorder in recorders:
            counts = recorder.stats()
            for of in (counts, cast("Mapping[str, int]", counts["metrics"])):
                self.made.dropped += cast("int", of["dropped"])
                self.made.undelivered += cast("int", of["in_flight"])

    def _stream(self, who: Who) -> _Stream:
        stream = self._streams.get(who)
        if stream is None:
            said = self._said.get(who) or self._said.get(Who(who.run, "")) or Started(run=who.run)
            stream = self._streams[who] = _Stream(self._new_recorder(who, said))
            stream.recorder.take_time_from(stream.now_ns)
            self.made.streams += 1
        return stream

    def _begin(self, act: Begin) -> None:
        stream, recorder = self._prepared(act)
        if act.episode is not None:
            recorder.number_episodes(act.episode, env=act.env)
        seq = recorder.reset(
            act.observation, seed=act.seed, info=act.info, env=act.env, tick=act.tick, labels=act.labels
        )
        stream.rows[act.env] = {} if act.name is None else {act.name: seq}
        self.made.episodes += 1

    def _step(self, act: Step) -> None:
        stream, recorder = self._prepared(act)
        rows = stream.rows.setdefault(act.env, {})
        words: StepWords = act.words
        if act.parent is not None and (parent := rows.get(act.parent)) is not None:
            words = {**words, "parent": parent}
        seq = recorder.step(
            act.action,
            act.reward,
            act.terminated,
            act.truncated,
            act.observation,
            info=act.info,
            env=act.env,
            tick=act.tick,
            **words,
        )
        if act.name is not None:
            rows[act.name] = seq
        self.made.steps += 1

    def _prepared(self, act: Begin | Step) -> tuple[_Stream, Recorder]:
        stream = self._stream(act.who)
        stream.at_us = act.at_us
        for name, number in act.logged:
            stream.recorder.log({name: number})
        return stream, stream.recorder

    def _judge(self, act: Judged) -> None:
        words: ScoreWords = {}
        for name in ("judge", "label", "text"):
            if word := getattr(act, name):
                words[name] = word
        self._stream(act.who).recorder.score(act.value, name=act.name, time=_seconds(act.at_us), **words)
        self.made.scores += 1

    def _end(self, who: Who, outcome: Outcome, error: str) -> None:
        stream = self._streams.pop(who, None)
        if stream is not None:
            stream.recorder.close(outcome, error)
            self._closed.append(stream.recorder)


def _seconds(at_us: int | None) -> float | None:
    return None if at_us is None else at_us / 1_000_000
