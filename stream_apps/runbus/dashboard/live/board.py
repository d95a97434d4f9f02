"""Holds what the log says now, record by record, and tells the hub at each tick what changed. Pure: time is given."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from runbus.config.errors import RunBusError
from runbus.dashboard.live import rows
from runbus.dashboard.live.below import Below
from runbus.dashboard.live.episodes import Finalised, RecentEpisodes
from runbus.dashboard.live.hub import Hub
from runbus.dashboard.live.last_values import LastValues
from runbus.dashboard.live.newest import Newest
from runbus.dashboard.live.rows import Row
from runbus.dashboard.live.run_marks import RunMarks
from runbus.dashboard.live.runs import RunFacts, StreamFacts
from runbus.dashboard.live.silence import Silence
from runbus.dashboard.live.states import State, run_state, stream_state
from runbus.dashboard.live.values import Values, stream_of
from runbus.kafka.model import StreamId
from runbus.kafka.topics import ANNOTATIONS, CANARY_RUN, EPISODES, HEARTBEATS, LIVE_METRICS, METRICS, RUNS
from runbus.schemas.annotations import removed_by
from runbus.schemas.codec import Codec
from runbus.schemas.events import Annotation, Heartbeat

log = logging.getLogger(__name__)
#: Of runs that ended, so many of the newest are pushed; all are in history.
_MOST_ENDED = 500
TOTALS, RUNS_CHANNEL, COMPONENTS, WATCH = "totals", "runs", "components", "watch"


def streams_channel(run: str) -> str:
    """Return the channel of all streams of a run."""
    return f"streams/{run}"


def episodes_channel(run: str) -> str:
    """Return the channel of the recent episodes of a run."""
    return f"episodes/{run}"


class Taken(NamedTuple):
    """One record of the log, as the feed hands it over; `topic` has no prefix."""

    topic: str
    key: str
    value: bytes
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(slots=True)
class _Steps:
    """How many steps a stream had when somebody last looked, and when that changed."""

    count: int
    since: float


class Board:
    """What the log says now.

    Args:
        codec: of the installation.
        prefix: of its topics.
        hub: is told what changed.
    """

    def __init__(self, codec: Codec, prefix: str, hub: Hub) -> None:
        self._values = Values(codec)
        self._prefix = prefix
        self._hub = hub
        self.runs: dict[str, RunFacts] = {}
        self.episodes = RecentEpisodes()
        self.below = Below()
        self.silence = Silence()
        self._metrics: Newest[Mapping[str, Any]] = Newest(self._values.figures)
        self._beats: Newest[Heartbeat] = Newest(lambda value: Heartbeat(**self._values.fields(value, "Heartbeat")))
        self._beat_at: dict[str, int] = {}  # broker time of the newest heartbeat of a recorder, milliseconds
        self._last_values = LastValues()
        self._marks = RunMarks()
        self._steps: dict[StreamId, _Steps] = {}
        self._states: dict[StreamId, State] = {}
        self._run_rows: dict[str, Row] = {}
        self._totals: Row = {}
        self._changed_runs: set[str] = set()
        self._changed_streams: set[StreamId] = set()
        self._new_episodes: list[Finalised] = []
        self._watch = ""
        self.unreadable = 0

    # --- records ------------------------------------------------------------------------------------------------

    def take(self, record: Taken, now: float, age_s: float) -> None:
        """Take one record that was read now and is `age_s` old by its own time. One that cannot be read is counted."""
        try:
            match record.topic:
                case LIVE_METRICS.name:
                    self._take_metrics(record, now - age_s)
                case EPISODES.name:
                    self._take_episode(record, now)
                case METRICS.name:
                    self._changed_streams.add(self._last_values.take(self._values.metrics(record.value)))
                case RUNS.name:
                    self._take_run(record)
                case ANNOTATIONS.name:
                    self._take_annotation(record)
                case HEARTBEATS.name:
                    self._take_beat(record, now, age_s)
        except RunBusError as error:
            self.unreadable += 1
            log.debug("dashboard.unreadable %s:%d@%d: %s", record.topic, record.partition, record.offset, error)

    def _take_metrics(self, record: Taken, arrived: float) -> None:
        stream = stream_of(record.value)
        self._metrics.put(str(stream), record.value, arrived)
        self._changed_streams.add(stream)

    def _take_episode(self, record: Taken, now: float) -> None:
        fields = self._values.fields(record.value, "EpisodeFinalized")
        row = rows.episode_row(fields, record.partition, record.offset)
        key = f"{row['agent']}/{row['attempt']}/{row['env']}/{row['episode']}"
        run = fields["run_id"]
        episode = Finalised(run, key, row, record.partition, record.offset, now)
        self.episodes.add(episode)
        self._new_episodes.append(episode)
        self._run(run).returns.add(row["return"], row["missing"], now)
        self._changed_runs.add(run)

    def _take_run(self, record: Taken) -> None:
        if not record.value:
            return
        event = self._values.fields(record.value, "RunEvent")
        stream = StreamId(event["run_id"], event["agent_id"], event["attempt"])
        self._run(stream.run_id).take(stream, StreamFacts.of(event))
        self._changed_streams.add(stream)

    def _take_annotation(self, record: Taken) -> None:
        if record.value:
            said = Annotation(**self._values.fields(record.value, "Annotation"))
        else:
            said = removed_by(record.key.encode(), record.timestamp_ms)
        if (run := self._marks.take(said)) is not None:
            self._changed_runs.add(run)

    def _take_beat(self, record: Taken, now: float, age_s: float) -> None:
        self._beats.put(record.key, record.value, now)
        self.silence.hear(record.key, now, age_s)
        if record.key.startswith("recorder"):
            self._beat_at[record.key] = record.timestamp_ms
            return
        beat = self._beats.get(record.key)
        if beat is not None and beat.kind == "sink":
            self.below.take(beat.committed, beat.sent_at)
        elif beat is not None and beat.kind == "watchdog":
            self._watch = record.key

    def _run(self, run: str) -> RunFacts:
        return self.runs.setdefault(run, RunFacts())

    # --- ticks --------------------------------------------------------------------------------------------------

    def tick(self, watched: Container[str], now: float) -> None:
        """Tell the hub what changed, of channels that somebody looks at."""
        self._expire(now)
        self._changed_streams.update(self._moved(now))
        self._changed_runs.update(stream.run_id for stream in self._changed_streams)
        self._tell_streams(watched)
        self._tell_episodes(watched)
        self._tell_runs(now)
        if COMPONENTS in watched:
            for name in list(self._beats):
                self._hub.touch(COMPONENTS, name)
        if WATCH in watched and self._watch:
            self._hub.touch(WATCH, "")

    def _expire(self, now: float) -> None:
        topic = self._prefix + EPISODES.name
        for gone in self.episodes.expire(lambda partition: self.below.at(topic, partition), now):
            self._hub.channel(episodes_channel(gone.run)).forget(gone.key)

    def _moved(self, now: float) -> Iterator[StreamId]:
        """Yield the streams whose state is another one now, by time alone too."""
        for run in self.runs.values():
            if run.ended and all(stream in self._states for stream in run.streams):
                continue
            for stream, facts in run.streams.items():
                state = self._state(stream, facts, now)
                if self._states.get(stream) != state:
                    self._states[stream] = state
                    yield stream

    def _state(self, stream: StreamId, facts: StreamFacts, now: float) -> State:
        silent_s = self.silence.seconds(facts.recorder, now)
        stepless_s = silent_s if facts.role else now - self._stepped(stream)  # a source of metrics has no steps
        return stream_state(facts.outcome, silent_s, stepless_s)

    def _stepped(self, stream: StreamId) -> float:
        """Return when the number of steps of a stream last changed, as far as anybody saw."""
        metrics, arrived = self._metrics.get(str(stream)), self._metrics.arrived(str(stream))
        if metrics is None:
            return arrived
        seen = self._steps.get(stream)
        if seen is None or seen.count != metrics["steps"]:
            seen = self._steps[stream] = _Steps(metrics["steps"], arrived)
        return seen.since

    def _tell_streams(self, watched: Container[str]) -> None:
        for stream in self._changed_streams:
            channel = streams_channel(stream.run_id)
            if channel in watched:
                self._hub.touch(channel, f"{stream.agent_id}/{stream.attempt}")
        self._changed_streams.clear()

    def _tell_episodes(self, watched: Container[str]) -> None:
        for episode in self._new_episodes:
            channel = episodes_channel(episode.run)
            if channel in watched:
                self._hub.touch(channel, episode.key)
        self._new_episodes.clear()

    def _tell_runs(self, now: float) -> None:
        changed = {run for run in self._changed_runs if run in self.runs and self.runs[run].streams} - {CANARY_RUN}
        # A rate of the last minute falls while nothing comes.
        changed |= {run for run, row in self._run_rows.items() if row["epm"]}
        self._changed_runs.clear()
        for run in changed:
            row = self._run_row(run, now)
            if self._run_rows.get(run) != row:
                self._run_rows[run] = row
                self._hub.touch(RUNS_CHANNEL, run)
        if changed:
            self._tell_totals()

    def _tell_totals(self) -> None:
        totals = rows.totals_row(self._run_rows.values())
        if totals != self._totals:
            self._totals = totals
            self._hub.touch(TOTALS, "")

    # --- rows ---------------------------------------------------------------------------------------------------

    def keys(self, channel: str) -> list[str]:
        """Return the keys of a channel that nobody has looked at until now."""
        kind, _, run = channel.partition("/")
        match kind:
            case "totals" | "watch":
                return [""]
            case "runs":
                return self._shown_runs()
            case "components":
                return list(self._beats)
            case "streams":
                found = self.runs.get(run)
                return [f"{stream.agent_id}/{stream.attempt}" for stream in found.streams] if found else []
            case "episodes":
                return list(self.episodes.of(run))
        return []

    def _shown_runs(self) -> list[str]:
        """Return all runs that have not ended, and the newest of the others; the oldest first."""
        by_start = sorted(self._run_rows, key=lambda run: self._run_rows[run]["started_at"])
        newest = set(by_start[-_MOST_ENDED:])
        return [run for run in by_start if run in newest or not self.runs[run].ended]

    def row(self, channel: str, key: str, now: float) -> Row | None:
        """Return a row as it is now; None = it is gone."""
        kind, _, run = channel.partition("/")
        match kind:
            case "totals":
                return self._totals
            case "runs":
                return self._run_rows.get(key)
            case "components":
                beat = self._beats.get(key)
                return None if beat is None else rows.component_row(beat, self.silence.seconds(key, now))
            case "watch":
                beat = self._beats.get(self._watch)
                return None if beat is None else {"sent_at": beat.sent_at, **rows.as_object(beat.detail)}
            case "streams":
                return self._stream_row(run, key, now)
            case "episodes":
                found = self.episodes.of(run).get(key)
                return found and found.row
        return None

    def heartbeats(self) -> dict[str, Heartbeat]:
        """Return the newest heartbeat of each component that can be read."""
        found = {name: self._beats.get(name) for name in self._beats}
        return {name: beat for name, beat in found.items() if beat is not None}

    def _stream_row(self, run: str, key: str, now: float) -> Row | None:
        agent, _, attempt = key.rpartition("/")
        stream = StreamId(run, agent, int(attempt))
        facts = self.runs[run].streams.get(stream) if run in self.runs else None
        if facts is None:
            return None
        value = self._metrics.value(str(stream)) if self._metrics.get(str(stream)) is not None else b""
        metrics = self._values.fields(value, "LiveMetrics") if value else None
        row = rows.stream_row(stream, facts, self._state(stream, facts, now), metrics)
        return {**row, "clock_s": self._clock_of(facts.recorder), "metrics": self._last_values.of(stream)}

    def _clock_of(self, recorder: str) -> float | None:
        """Return how far the clock of a recorder is ahead of the broker's, in seconds; None = it was not heard."""
        beat, at = self._beats.get(recorder), self._beat_at.get(recorder)
        return None if beat is None or at is None else round(beat.sent_at / 1e6 - at / 1e3)

    def _run_row(self, run: str, now: float) -> Row:
        facts = self.runs[run]
        states = [self._state(stream, known, now) for stream, known in facts.current()]
        streams = [
            (stream, known, rows.counts(known, self._state(stream, known, now), self._metrics.get(str(stream))))
            for stream, known in facts.streams.items()
        ]
        return rows.run_row(run, run_state(states), streams, facts.returns, self._marks.of(run), now)
