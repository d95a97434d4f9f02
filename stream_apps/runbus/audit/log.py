"""Reads what the log says was produced: headers of batches and FINISHED events, from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from confluent_kafka import Message

from runbus.audit.interval_set import IntervalSet
from runbus.audit.reconciliation import Logged
from runbus.config.errors import InvalidValue
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.headers import RESENT
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import OffsetByPartition, headers_of, open_topic, record_position
from runbus.kafka.topics import METRICS, RUNS, STEPS, Topic
from runbus.schemas.batches import BATCHES
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import METRICS_ROLE, RunEvent

#: topic (without prefix) -> partition -> offsets of the records that are dead letters
DeadOffsets = Mapping[str, Mapping[int, AbstractSet[int]]]


#: topic (without prefix) -> the sink's committed offset by partition
Committed = Mapping[str, OffsetByPartition]


@dataclass(frozen=True, slots=True)
class LoggedStreams:
    """What the log says of each stream: of its steps, and of its metrics."""

    steps: dict[StreamId, Logged]
    metrics: dict[StreamId, Logged]


class LogReader:
    """Reads topics from their start to their end of now, without joining a group.

    Args:
        settings: of the broker.
        codec: finds the schemas that wrote the values.
        group: whose committed offsets `committed` returns.

    Attributes:
        unreadable: records that could not be read and are no dead letters.
        unreadable_letters: records that could not be read and are dead letters.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec, group: str) -> None:
        self._settings = settings
        self._codec = codec
        self._group = group
        self.unreadable = 0
        self.unreadable_letters = 0

    def committed(self, topic: Topic) -> dict[int, int]:
        """Return the group's committed offset by partition; 0 if it has none."""
        with open_topic(self._settings, topic, self._group) as log:
            return log.committed()

    def streams(
        self,
        committed: Committed,
        run: str | None = None,
        dead: DeadOffsets | None = None,
        on_progress: OnProgress = unseen,
    ) -> LoggedStreams:
        """Return what every stream produced, of steps and of metrics.

        Args:
            committed: the sink's offsets on the topics of batches.
            run: only this run.
            dead: records that the sink could not store.
            on_progress: takes the number of records that are read.
        """
        steps, metrics = (_Streams(self._codec, topic, committed.get(topic.name, {})) for topic in (STEPS, METRICS))

        def add_event(message: Message, _: bool) -> None:
            event = _event(message, self._codec)
            if event is not None:
                _add_event(event, steps, metrics)

        for topic, add in ((STEPS, steps.add_batch), (METRICS, metrics.add_batch), (RUNS, add_event)):
            letters = (dead or {}).get(topic.name, {})
            with open_topic(self._settings, topic, self._group) as log:
                for message in log.records(on_progress=on_progress):
                    if run is not None and not _of_run(message, run):
                        continue
                    partition, offset = record_position(message)
                    is_letter = offset in letters.get(partition, ())
                    try:
                        add(message, is_letter)
                    except (InvalidValue, UnknownSchema):
                        self.unreadable += not is_letter
                        self.unreadable_letters += is_letter
        return LoggedStreams(steps.logged(), metrics.logged())


def _event(message: Message, codec: Codec) -> RunEvent | None:
    """Return a record of the runs topic. Raises InvalidValue, UnknownSchema."""
    if message.value() is None:
        return None
    writer, body = codec.open(message.value(), RunEvent.SCHEMA)
    return RunEvent.decode(body, writer)


def _add_event(event: RunEvent, steps: _Streams, metrics: _Streams) -> None:
    """Take what an event says of a stream: of its steps, and of its metrics. A source of metrics has no steps."""
    stream, finished = StreamId(event.run_id, event.agent_id, event.attempt), event.kind == "FINISHED"
    if event.role != METRICS_ROLE:
        steps.add_counts(stream, event.produced, event.dropped, finished)
    if event.role == METRICS_ROLE or event.metrics:
        metrics.add_counts(stream, event.metrics, event.metrics_dropped, finished)
    elif finished:
        metrics.end(stream)


class _Streams:
    """Sums up the streams of one topic of batches while the log is read."""

    def __init__(self, codec: Codec, topic: Topic, committed: OffsetByPartition) -> None:
        assert topic.schema is not None, "a topic of batches has a schema"
        self._schema = topic.schema
        self._codec = codec
        self._committed = committed
        self._found: dict[StreamId, Logged] = {}
        self._dead: dict[StreamId, IntervalSet] = {}
        self._seqs: dict[StreamId, IntervalSet] = {}

    def logged(self) -> dict[StreamId, Logged]:
        """Return the sums so far."""
        dead = {stream: spans.count for stream, spans in self._dead.items()}
        return {stream: replace(log, dead_letters=dead.get(stream, 0)) for stream, log in self._found.items()}

    def add_batch(self, message: Message, is_letter: bool) -> None:
        """Take a record of the topic. Raises InvalidValue, UnknownSchema."""
        writer, body = self._codec.open(message.value(), self._schema)
        header = BATCHES[self._schema].decode_header(body, writer)
        stream = StreamId(header.run_id, header.agent_id, header.attempt)
        if is_letter:
            self._dead.setdefault(stream, IntervalSet()).add(header.first_seq, header.next_seq - 1)
        elif stream in self._dead:  # sent again behind the dead letter: a record like any other
            self._dead[stream].remove(header.first_seq, header.next_seq - 1)
        partition, offset = record_position(message)
        waits = not is_letter and offset >= self._committed.get(partition, 0)
        before = self._found.get(stream, Logged())
        self._found[stream] = replace(
            before,
            produced=max(before.produced, header.next_seq),
            dropped=max(before.dropped, header.dropped),
            pending=before.pending + (header.count if waits else 0),
            resent=before.resent + self._resent(message, stream, header.first_seq, header.next_seq - 1),
        )

    def _resent(self, message: Message, stream: StreamId, first: int, last: int) -> int:
        """Return how many steps of a batch the log had before, if whoever sent it did not know that."""
        seqs = self._seqs.get(stream)
        if seqs is None:
            seqs = self._seqs[stream] = IntervalSet()
            if first:  # retention may have taken them from the log, not from ClickHouse
                seqs.add(0, first - 1)
        twice = seqs.overlap(first, last) if RESENT in headers_of(message) else 0
        seqs.add(first, last)
        return twice

    def add_counts(self, stream: StreamId, produced: int, dropped: int, finished: bool) -> None:
        """Take what a run event says of a stream."""
        before = self._found.get(stream, Logged())
        self._found[stream] = replace(
            before,
            produced=max(before.produced, produced),
            dropped=max(before.dropped, dropped),
            finished=before.finished or finished,
        )

    def end(self, stream: StreamId) -> None:
        """Take it that a stream has ended, if there is one."""
        if stream in self._found:
            self._found[stream] = replace(self._found[stream], finished=True)


def _of_run(message: Message, run: str) -> bool:
    return (message.key() or b"").decode("utf-8", "replace").partition("/")[0] == run
