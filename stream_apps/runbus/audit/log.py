"""What the log itself says was produced: batch headers and FINISHED events, read from end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runbus.audit.report import Logged, StreamId
from runbus.config.kafka import KafkaSettings
from runbus.schemas.admin import BrokerUnavailable, TopicMissing, admin_client
from runbus.schemas.batch import decode_header
from runbus.schemas.codec import Codec
from runbus.schemas.errors import InvalidValue, UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.schemas.principals import SINK_GROUP, Names, Right
from runbus.schemas.rights import RightMissing, lacking
from runbus.schemas.topics import RUNS, STEPS, Topic

_REQUEST_S = 15.0
_SILENCE_S = 30.0  # a broker that holds the records we ask for answers sooner; past this the audit would never end

Offsets = Mapping[int, int]


class LogReader:
    """Reads topics from their start to where they end now, without joining a group.

    Args:
        group: whose committed offsets `committed` returns.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec, group: str) -> None:
        self._settings = settings
        self._codec = codec
        self._group = group
        self.unreadable = 0

    def committed(self, topic: Topic) -> dict[int, int]:
        """Return the group's committed offset by partition; 0 where it has none."""
        name = self._settings.topic_prefix + topic.name
        with _translated(self._settings, name, self._group), _consumer(self._settings, self._group) as consumer:
            partitions = [TopicPartition(name, p) for p in self._partitions(consumer, name)]
            try:
                found = consumer.committed(partitions, timeout=_REQUEST_S) if partitions else []
            except KafkaException:
                self._check_group()  # a client that may not see a group goes on asking for it until the time is up
                raise
            return {p.partition: max(p.offset, 0) for p in found}

    def _check_group(self) -> None:
        names, right = Names(self._settings.topic_prefix, self._group), Right("Group", SINK_GROUP, "Describe", "")
        if list(lacking(admin_client(self._settings), [right], names)):
            raise RightMissing(self._settings, [right.said(names)])

    def streams(self, committed: Offsets, run: str | None = None) -> dict[StreamId, Logged]:
        """Return what every stream produced; `committed` are the sink's offsets on the steps topic.

        Args:
            run: only this run.
        """
        found: dict[StreamId, Logged] = {}
        for message in self._records(STEPS):
            self._add_batch(found, message, committed, run)
        for message in self._records(RUNS):
            self._add_event(found, message, run)
        return found

    def _add_batch(self, found: dict[StreamId, Logged], message: Message, committed: Offsets, run: str | None) -> None:
        if run is not None and not _of_run(message, run):
            return
        try:
            writer, body = self._codec.open(message.value(), "StepBatch")
            header = decode_header(body, writer)
        except (InvalidValue, UnknownSchema):
            self.unreadable += 1
            return
        stream = (header.run_id, header.agent_id, header.attempt)
        before = found.get(stream, Logged())
        partition, offset = _place(message)
        waits = offset >= committed.get(partition, 0)
        found[stream] = replace(
            before,
            produced=max(before.produced, header.next_seq),
            dropped=max(before.dropped, header.dropped),
            pending=before.pending + (header.count if waits else 0),
        )

    def _add_event(self, found: dict[StreamId, Logged], message: Message, run: str | None) -> None:
        if message.value() is None or (run is not None and not _of_run(message, run)):
            return
        try:
            writer, body = self._codec.open(message.value(), "RunEvent")
            event = RunEvent.decode(body, writer)
        except (InvalidValue, UnknownSchema):
            self.unreadable += 1
            return
        stream = (event.run_id, event.agent_id, event.attempt)
        before = found.get(stream, Logged())
        found[stream] = replace(
            before,
            produced=max(before.produced, event.produced),
            dropped=max(before.dropped, event.dropped),
            finished=before.finished or event.kind == "FINISHED",
        )

    def _records(self, topic: Topic) -> Iterator[Message]:
        name = self._settings.topic_prefix + topic.name
        with _translated(self._settings, name, self._group), _consumer(self._settings, self._group) as consumer:
            bounds = {
                p: consumer.get_watermark_offsets(TopicPartition(name, p), timeout=_REQUEST_S)
                for p in self._partitions(consumer, name)
            }
            ends = {p: high for p, (low, high) in bounds.items() if high > low}
            consumer.assign([TopicPartition(name, p, bounds[p][0]) for p in ends])
            while ends:
                message = consumer.poll(_SILENCE_S)
                if message is None:
                    raise BrokerUnavailable(f"{name}: no record for {_SILENCE_S:.0f} s; the log goes on to {ends}")
                partition, offset = _place(message)
                error = message.error()
                if error is None and offset < ends.get(partition, 0):
                    yield message
                elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if offset + 1 >= ends.get(partition, 0):  # the end of file counts: compaction may have taken the last
                    ends.pop(partition, None)

    def _partitions(self, consumer: Consumer, name: str) -> list[int]:
        found = consumer.list_topics(name, timeout=_REQUEST_S).topics[name]
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(found.error)
        if found.error is not None:
            raise TopicMissing(f"there is no topic {name}: run `runbus topics apply`")
        return sorted(found.partitions)


def _of_run(message: Message, run: str) -> bool:
    return (message.key() or b"").decode("utf-8", "replace").partition("/")[0] == run


def _place(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    return (-1 if partition is None else partition), (-1 if offset is None else offset)


@contextmanager
def _consumer(settings: KafkaSettings, group: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            **settings.client_config(),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def _translated(settings: KafkaSettings, topic: str, group: str) -> Iterator[None]:
    """Turn the client's errors into ours; a refused right has its name."""
    try:
        yield
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise RightMissing(settings, [f"Read on Topic {topic}"]) from error
        if cause.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise RightMissing(settings, [f"Describe on Group {group}"]) from error
        raise BrokerUnavailable(f"cannot read the log at {settings.bootstrap_servers}: {cause.str()}") from error
