"""Reads what the log says was produced: batch headers and FINISHED events, from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from confluent_kafka import Message

from runbus.audit.interval_set import IntervalSet
from runbus.audit.reconciliation import Logged
from runbus.config.errors import InvalidValue
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.headers import RESENT
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import OffsetByPartition, headers_of, open_topic, record_position
from runbus.kafka.topics import RUNS, STEPS, Topic
from runbus.schemas.batch import BatchHeader, decode_header
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import RunEvent

#: topic (without prefix) -> partition -> offsets of the records that are dead letters
DeadOffsets = Mapping[str, Mapping[int, AbstractSet[int]]]


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
        committed: OffsetByPartition,
        run: str | None = None,
        dead: DeadOffsets | None = None,
        on_progress: OnProgress = unseen,
    ) -> dict[StreamId, Logged]:
        """Return what every stream produced.

        Args:
            committed: the sink's offsets on the steps topic.
            run: only this run.
            dead: records that the sink could not store.
            on_progress: takes the number of records that are read.
        """
        streams = _Streams(self._codec, committed)
        for topic, add in ((STEPS, streams.add_batch), (RUNS, lambda message, _: streams.add_event(message))):
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
        return streams.logged()


class _Streams:
    """Sums up streams while the log is read."""

    def __init__(self, codec: Codec, committed: OffsetByPartition) -> None:
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
        """Take a record of the steps topic. Raises InvalidValue, UnknownSchema."""
        writer, body = self._codec.open(message.value(), "StepBatch")
        header = decode_header(body, writer)
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
            resent=before.resent + self._resent(message, stream, header),
        )

    def _resent(self, message: Message, stream: StreamId, header: BatchHeader) -> int:
        """Return how many steps of a batch the log had before, if whoever sent it did not know that."""
        seqs = self._seqs.get(stream)
        if seqs is None:
            seqs = self._seqs[stream] = IntervalSet()
            if header.first_seq:  # retention may have taken them from the log, not from ClickHouse
                seqs.add(0, header.first_seq - 1)
        twice = seqs.overlap(header.first_seq, header.next_seq - 1) if RESENT in headers_of(message) else 0
        seqs.add(header.first_seq, header.next_seq - 1)
        return twice

    def add_event(self, message: Message) -> None:
        """Take a record of the runs topic. Raises InvalidValue, UnknownSchema."""
        if message.value() is None:
            return
        writer, body = self._codec.open(message.value(), "RunEvent")
        event = RunEvent.decode(body, writer)
        stream = StreamId(event.run_id, event.agent_id, event.attempt)
        before = self._found.get(stream, Logged())
        self._found[stream] = replace(
            before,
            produced=max(before.produced, event.produced),
            dropped=max(before.dropped, event.dropped),
            finished=before.finished or event.kind == "FINISHED",
        )


def _of_run(message: Message, run: str) -> bool:
    return (message.key() or b"").decode("utf-8", "replace").partition("/")[0] == run
