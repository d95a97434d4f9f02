"""Adds `runbus replay`: a recorded run once more, at the speed that it had or another one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from runbus.cli.context import Settings, settings
from runbus.cli.event_lines import documents, json_line
from runbus.cli.option import option
from runbus.cli.output import Json, complain, flush, print_json, say, write
from runbus.cli.progress import progress
from runbus.cli.tail import CTRL_C, at_time
from runbus.config import options as o
from runbus.config.errors import ConfigError, RunBusError
from runbus.recorder.settings import CourierSettings
from runbus.replay.again import NewRun
from runbus.replay.copy import Copy
from runbus.replay.pace import Pace
from runbus.replay.run_index import Indexer, RunIndex
from runbus.replay.timeline import Moment, Span, StepsAgain, Timeline, event_of


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("replay")(replay)


def replay(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runbus run ls` shows it.")],
    to: Annotated[o.Destination, option(o.REPLAY_TO)] = o.REPLAY_TO.default_value,
    speed: Annotated[float, option(o.REPLAY_SPEED)] = o.REPLAY_SPEED.default_value,
    begin: Annotated[str, option(o.REPLAY_FROM)] = o.REPLAY_FROM.default_value,
    until: Annotated[str, option(o.REPLAY_UNTIL)] = o.REPLAY_UNTIL.default_value,
    agent: Annotated[str, option(o.AGENT)] = o.AGENT.default_value,
    new_run: Annotated[str, option(o.REPLAY_AS)] = o.REPLAY_AS.default_value,
    topic: Annotated[str, option(o.REPLAY_TOPIC)] = o.REPLAY_TOPIC.default_value,
    as_json: Json = False,
) -> None:
    """Play a run from the log again: as a new run, into a topic, or as lines of JSON (docs/replay.md)."""
    _check(to, new_run, topic)
    played = _Replay(settings(context), run_id, agent or None, _span(begin, until), Pace(speed))
    try:
        match to:
            case "bus":
                played.to_bus(new_run or f"{run_id}-replay-{datetime.now(UTC):%Y%m%d-%H%M%S}", as_json=as_json)
            case "topic":
                played.to_topic(topic, as_json=as_json)
            case "stdout":
                played.to_stdout()
    except KeyboardInterrupt:
        raise typer.Exit(CTRL_C) from None


def _check(to: o.Destination, new_run: str, topic: str) -> None:
    """Raise ConfigError if an option has no meaning here."""
    if topic and to != "topic":
        raise ConfigError(f"--topic is for --to topic, and this is --to {to}")
    if to == "topic" and not topic:
        raise ConfigError("--to topic: name it with --topic")
    if new_run and to != "bus":
        raise ConfigError(f"--as is for --to bus, and this is --to {to}")


def _span(begin: str, until: str) -> Span:
    found = Span(*(_microseconds(text) if text else None for text in (begin, until)))
    if found.begin_us is not None and found.until_us is not None and found.begin_us >= found.until_us:
        raise ConfigError(f"--from {begin} is not before --until {until}")
    return found


def _microseconds(text: str) -> int:
    return round(at_time(text).timestamp() * 1_000_000)


class _Replay:
    """One run, and how it is played."""

    def __init__(self, current: Settings, run_id: str, agent: str | None, span: Span, pace: Pace) -> None:
        self._current = current
        self._kafka = current.kafka
        self._run_id = run_id
        self._agent = agent
        self._span = span
        self._pace = pace
        self._indexer = Indexer(self._kafka, current.codec)

    def to_bus(self, new_run: str, *, as_json: bool) -> None:
        """Record it again. Raises RunBusError."""
        if self._indexer.events(new_run)[0]:
            raise RunBusError(f"the log has a run {new_run!r} already: give the new one another name with --as")
        index = self._index()
        courier = CourierSettings.load(self._current.sources)
        whole = self._span.whole
        again = NewRun(self._run_id, new_run, courier, whole=whole)
        done = False
        try:
            for moment in self._moments(index):
                again.take(moment)
            done = True
        finally:
            sums = again.close(interrupted=not done)
        self._say(
            {"run": new_run, "streams": sums.streams, "records": sums.records, "steps": sums.steps},
            f"{new_run}: {sums.steps:,} steps of {sums.streams:,} streams are recorded again",
            as_json=as_json,
        )
        if sums.dropped:
            raise RunBusError(f"{sums.dropped} steps were dropped on the way: {new_run} is not the whole of it")

    def to_topic(self, topic: str, *, as_json: bool) -> None:
        """Copy its records. Raises RunBusError."""
        copy = Copy(self._kafka, topic)
        for moment in self._moments(self._index()):
            if isinstance(moment, StepsAgain):
                copy.take(moment.message)
        records = copy.close()
        self._say({"topic": topic, "records": records}, f"{topic}: {records:,} records are copied", as_json=as_json)

    def to_stdout(self) -> None:
        """Print it, as `runbus tail --json` does."""
        for moment in self._moments(self._index()):
            for document in documents(event_of(moment)):
                write(json_line(document))
            flush()

    def _index(self) -> RunIndex:
        with progress(beside_output=True) as on_progress:
            index = self._indexer.index(self._run_id, self._agent, on_progress=on_progress)
        if index.unreadable:
            complain(f"{index.unreadable} records of {self._run_id} cannot be read and are left out")
        return index

    def _moments(self, index: RunIndex) -> Iterator[Moment]:
        """Yield each moment when it is its turn."""
        timeline = Timeline(self._kafka, self._current.codec, index, self._span)
        for moment in timeline.moments(self._indexer.group):
            self._pace.wait(moment.at_us)
            yield moment

    @staticmethod
    def _say(document: dict[str, object], text: str, *, as_json: bool) -> None:
        if as_json:
            print_json(document)
        else:
            say(text)
