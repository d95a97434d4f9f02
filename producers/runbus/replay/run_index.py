"""Lists the records that hold the steps of one run: read once, from end to end, without decoding a column.

A record counts as far as it is new: what was sent again is in the index once, whichever copy came first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Message

from runbus.config.errors import InvalidValue
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.model import StreamId
from runbus.kafka.principals import READERS
from runbus.kafka.run_log import CLOCK_MARGIN_MS, RunStarts, key_text, stream_events
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import TopicLog, open_topic, record_position
from runbus.kafka.topics import RUNS, STEPS
from runbus.replay.errors import NoSuchRun
from runbus.schemas.batch import decode_header
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.schemas.sequence import SequenceTracker, runs_of

_PROGRESS_EVERY = 1000
# Records of other runs that are read and passed over; past it the broker is asked for the place itself.
_SKIPPED = 2000


class Entry(NamedTuple):
    """One record of the run.

    Attributes:
        offset: of the record.
        stream: whose steps it has.
        first_seq, rows: which steps, those that came before included.
        dropped: steps that the stream gave up until here, as the header says.
        size: bytes of its value.
        fresh: the rows [start, stop) that are new; None = all.
    """

    offset: int
    stream: StreamId
    first_seq: int
    rows: int
    dropped: int
    size: int
    fresh: tuple[tuple[int, int], ...] | None = None

    @property
    def steps(self) -> int:
        """How many of its rows are new."""
        return self.rows if self.fresh is None else sum(stop - start for start, stop in self.fresh)


@dataclass(slots=True)
class Lane:
    """The records of the run in one partition of `steps`, in the order of the log.

    Attributes:
        partition: its number.
        start, end: the offsets [start, end) were searched.
        unreadable: records of the run that cannot be decoded.
    """

    partition: int
    start: int
    end: int
    entries: list[Entry] = field(default_factory=list)
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class RunIndex:
    """Where the steps of one run are.

    Attributes:
        run_id: name of the run.
        topic_id: of `steps` when it was read.
        events: stream -> its newest event on `runs`: FINISHED, if it has ended.
        lanes: one a partition that may hold the run.
    """

    run_id: str
    topic_id: str
    events: Mapping[StreamId, RunEvent]
    lanes: tuple[Lane, ...]

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return sum(entry.steps for lane in self.lanes for entry in lane.entries)

    @property
    def unreadable(self) -> int:
        """How many records of the run cannot be decoded."""
        return sum(lane.unreadable for lane in self.lanes)


#: partition -> the offsets [start, end) to search
Bounds = Mapping[int, tuple[int, int]]


class Indexer:
    """Finds the records of a run.

    Args:
        settings: of the broker.
        codec: of the values.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self.group = settings.topic_prefix + READERS  # it never joins; a reader may ask about it

    def index(
        self, run_id: str, agent: str | None = None, bounds: Bounds | None = None, on_progress: OnProgress = unseen
    ) -> RunIndex:
        """Return where the steps of a run are.

        Args:
            run_id: name of the run.
            agent: only this one.
            bounds: what to search; default: from a day before the start of an agent, to where the log ends now.
            on_progress: takes how many offsets are searched.

        Raises:
            NoSuchRun: `runs` does not name it.
            RunBusError: the log cannot be read.
        """
        events, starts = self.events(run_id, agent)
        if not events:
            whose = f"run {run_id!r}" if agent is None else f"agent {agent!r} in run {run_id!r}"
            raise NoSuchRun(f"the log has no {whose}: `runbus run ls` lists the runs that are stored")
        with open_topic(self._settings, STEPS, self.group) as log:
            search = _Search(log, self._codec, run_id, agent, on_progress)
            if bounds is None:
                lanes = [
                    search.from_start(partition, started_ms)
                    for partition, started_ms in sorted(starts.by_partition(run_id, len(log.partitions)).items())
                ]
            else:
                lanes = [search.between(partition, *bounds[partition]) for partition in sorted(bounds)]
            return RunIndex(run_id, log.id, events, tuple(lanes))

    def events(self, run_id: str, agent: str | None = None) -> tuple[dict[StreamId, RunEvent], RunStarts]:
        """Return the newest event of each stream of a run, and where its agents begin. Raises RunBusError."""
        events: dict[StreamId, RunEvent] = {}
        starts = RunStarts()
        with open_topic(self._settings, RUNS, self.group) as log:
            for found in stream_events(log, run_id):
                event = self._event(found.message)
                if event is None or agent not in (None, found.agent_id):
                    continue
                starts.take(found)
                stream = StreamId(run_id, found.agent_id, found.attempt)
                known = events.get(stream)
                if known is None or (event.kind == "FINISHED", event.sent_at) >= (
                    known.kind == "FINISHED",
                    known.sent_at,
                ):
                    events[stream] = event
        return events, starts

    def _event(self, message: Message) -> RunEvent | None:
        try:
            writer, body = self._codec.open(message.value(), RunEvent.SCHEMA)
            return RunEvent.decode(body, writer)
        except (InvalidValue, UnknownSchema):
            return None


class _Search:
    """Searches partitions of `steps` for one run."""

    def __init__(self, log: TopicLog, codec: Codec, run_id: str, agent: str | None, on_progress: OnProgress) -> None:
        self._log = log
        self._codec = codec
        self._prefix = f"{run_id}/" if agent is None else f"{run_id}/{agent}"
        self._exact = agent is not None
        self._on_progress = on_progress

    def from_start(self, partition: int, started_ms: int) -> Lane:
        """Return the records behind a start; if a stream has no first step there, those of the whole log."""
        low, end = self._log.bounds(partition)
        start = min(self._log.since(partition, started_ms - CLOCK_MARGIN_MS), end)
        lane = self.between(partition, start, end)
        if start > low and (not lane.entries or _cut_off(lane)):
            lane = self.between(partition, low, end)
        return lane

    def between(self, partition: int, start: int, end: int) -> Lane:
        """Return the records of the run at the offsets [start, end)."""
        low, high = self._log.bounds(partition)
        lane = Lane(partition, start, end)
        trackers: dict[StreamId, SequenceTracker] = {}
        work = f"searching {self._log.name}:{partition}"
        for number, message in enumerate(self._log.walk(partition, max(low, start)).below(min(end, high))):
            if number % _PROGRESS_EVERY == 0:
                self._on_progress(work, record_position(message)[1] - start, end - start, "records")
            key = key_text(message.key())
            if key == self._prefix if self._exact else key.startswith(self._prefix):
                self._take(lane, trackers, message)
        self._on_progress(work, end - start, end - start, "records")
        _in_order(lane)
        return lane

    def _take(self, lane: Lane, trackers: dict[StreamId, SequenceTracker], message: Message) -> None:
        value = message.value()
        try:
            writer, body = self._codec.open(value, "StepBatch")
            header = decode_header(body, writer)
        except (InvalidValue, UnknownSchema):
            lane.unreadable += 1
            return
        stream = StreamId(header.run_id, header.agent_id, header.attempt)
        arrival = trackers.setdefault(stream, SequenceTracker()).take(header.first_seq, header.count)
        if arrival.duplicates == header.count:
            return
        fresh = None if arrival.fresh is None else runs_of(arrival.fresh)
        offset = record_position(message)[1]
        size = len(value or b"")
        lane.entries.append(Entry(offset, stream, header.first_seq, header.count, header.dropped, size, fresh))


def _newest(event: RunEvent) -> tuple[bool, int]:
    return event.kind == "FINISHED", event.sent_at


def _cut_off(lane: Lane) -> bool:
    """Return whether a stream begins in the middle: if its agent's clock was wrong, its first records lie before."""
    first: dict[StreamId, int] = {}
    for entry in lane.entries:
        first[entry.stream] = min(entry.first_seq, first.get(entry.stream, entry.first_seq))
    return any(first.values())


def _in_order(lane: Lane) -> None:
    """Put the records of streams whose steps came late into the order of their seq, stream by stream."""
    newest: dict[StreamId, int] = {}
    for entry in lane.entries:
        if entry.first_seq < newest.get(entry.stream, 0):
            lane.entries.sort(key=lambda e: (e.stream, e.first_seq))
            return
        newest[entry.stream] = entry.first_seq + entry.rows


class EntryReader:
    """Reads the records of an index, wherever they are; one behind the other without asking anew.

    Args:
        log: of `steps`.
        partition: one of its.
        end: where reading ended when it was indexed.
    """

    def __init__(self, log: TopicLog, partition: int, end: int) -> None:
        self._log = log
        self._partition = partition
        self._end = end
        self._records: Iterator[Message] = iter(())
        self._next: int | None = None  # the offset behind what was read last; None = nothing is open

    def read(self, entry: Entry) -> Message | None:
        """Return the record of an entry; None if it is not in the log any more."""
        if self._next is None or not 0 <= entry.offset - self._next <= _SKIPPED:
            self._records = self._log.walk(self._partition, entry.offset).below(self._end)
        for message in self._records:
            offset = record_position(message)[1]
            self._next = offset + 1
            if offset == entry.offset:
                return message
            if offset > entry.offset:
                break
        self._next = None
        return None
