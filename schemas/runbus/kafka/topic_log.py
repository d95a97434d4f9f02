"""Reads one topic by offsets: joins no group, commits nothing. What is aborted is not read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runbus.config.deadline import Deadline
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.admin import topic_id
from runbus.kafka.clients import admin_client, new_log_reader
from runbus.kafka.commit_metadata import counted_in
from runbus.kafka.errors import BrokerUnavailable, RightMissing, TopicMissing, TopicRefused
from runbus.kafka.model import LogShrank
from runbus.kafka.next_step import NextStep, cause_of, next_step
from runbus.kafka.principals import SINK_GROUP, ResourceNames, Right
from runbus.kafka.rights import lacking
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import Topic

_REQUEST_S = 15.0
_PROGRESS_EVERY = 1000  # records; a report costs what reading some records costs
_SILENCE_S = 30.0  # a broker that holds the records we ask for answers sooner; past this the audit would never end

OffsetByPartition = Mapping[int, int]


class TopicLog:
    """Reads a topic as it was when it was opened.

    Attributes:
        name: with its prefix.
        id: of the topic that has the name now.
        partitions: their numbers.
    """

    def __init__(self, consumer: Consumer, name: str, id_: str) -> None:
        self._consumer = consumer
        self.name = name
        self.id = id_
        self.partitions = self._partitions()

    def committed(self) -> dict[int, int]:
        """Return the group's committed offset by partition; 0 if it has none in this topic.

        A topic that was deleted and created anew may keep the offset of the one before it for a while. The sink names
        the topic that it counts in (runbus.kafka.commit_metadata.Intent), and starts the new one from its start.
        """
        deadline = Deadline.after(_REQUEST_S, time.monotonic())
        while True:
            try:
                found = self._ask_committed()
            except KafkaException as error:
                if next_step(cause_of(error)) is not NextStep.AGAIN or deadline.passed(time.monotonic()):
                    raise
                time.sleep(0.1)
            else:
                return {p.partition: p.offset if p.offset > 0 and self._counts_here(p.metadata) else 0 for p in found}

    def _ask_committed(self) -> list[TopicPartition]:
        found = self._consumer.committed([TopicPartition(self.name, p) for p in self.partitions], timeout=_REQUEST_S)
        for part in found:
            if part.error is not None:
                raise KafkaException(part.error)
        return found

    def _counts_here(self, metadata: str | None) -> bool:
        named = counted_in(metadata)
        return named is None or named == self.id

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset, and where reading ends now: before the first transaction that is open."""
        deadline = Deadline.after(_REQUEST_S, time.monotonic())
        while True:
            try:
                low, end = self._consumer.get_watermark_offsets(
                    TopicPartition(self.name, partition), timeout=_REQUEST_S
                )
            except KafkaException as error:
                # the leader moves, or the topic has just been created and the client does not know all of it yet
                if next_step(cause_of(error)) is not NextStep.AGAIN or deadline.passed(time.monotonic()):
                    raise
                time.sleep(0.1)
                self._learn_leaders()
            else:
                return low, end

    def records(self, starts: OffsetByPartition | None = None, on_progress: OnProgress = unseen) -> Iterator[Message]:
        """Yield the records of all partitions, from `starts` (default: their start) to where reading ends now."""
        bounds = {p: self.bounds(p) for p in self.partitions}
        begin = {p: max(low, (starts or {}).get(p, low)) for p, (low, _) in bounds.items()}
        ends = {p: end for p, (_, end) in bounds.items() if end > begin[p]}
        self._consumer.assign([TopicPartition(self.name, p, begin[p]) for p in ends])
        work, total, done = f"reading {self.name}", sum(end - begin[p] for p, end in ends.items()), 0
        while ends:
            message = next_message(self._consumer, f"{self.name}: the log goes on to {ends}")
            partition, offset = record_position(message)
            if message.error() is None and offset < ends.get(partition, 0):
                yield message
            if offset + 1 >= ends.get(partition, 0):  # the end of file counts: compaction may have taken the last
                ends.pop(partition, None)
            done += message.error() is None  # what has no record (compaction, transactions) is in the last report
            if done % _PROGRESS_EVERY == 0:
                on_progress(work, done, total, "records")
        on_progress(work, total, total, "records")

    def walk(self, partition: int, start: int) -> Walk:
        """Begin to read one partition from `start` on; ends what was read with this object before."""
        return Walk(self._consumer, TopicPartition(self.name, partition, start))

    def since(self, partition: int, time_ms: int) -> int:
        """Return the offset of the first record that is not older; where reading ends if all are."""
        low, end = self.bounds(partition)
        asked = [TopicPartition(self.name, partition, max(0, time_ms))]
        (found,) = self._consumer.offsets_for_times(asked, timeout=_REQUEST_S)
        if found.error is not None:
            raise KafkaException(found.error)
        return end if found.offset < 0 else min(max(found.offset, low), end)

    def _learn_leaders(self) -> None:
        """Ask who leads the partitions: a question about a log goes to the leader that the client knows."""
        with suppress(KafkaException):  # the caller asks again, and says what is wrong in the end
            self._consumer.list_topics(self.name, timeout=_REQUEST_S)

    def _partitions(self) -> list[int]:
        found = self._consumer.list_topics(self.name, timeout=_REQUEST_S).topics[self.name]
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(found.error)
        if found.error is not None:
            raise TopicMissing(f"there is no topic {self.name}: run `runbus topics apply`")
        return sorted(found.partitions)


class Walk:
    """Reads one partition once and in order, piece by piece."""

    def __init__(self, consumer: Consumer, start: TopicPartition) -> None:
        self._consumer = consumer
        self._name = f"{start.topic}:{start.partition}"
        self._passed = start.offset  # everything below was handed out, or can never be read
        self._ahead: Message | None = None
        consumer.assign([start])

    def below(self, end: int) -> Iterator[Message]:
        """Yield every record below `end` that was not yielded yet and can be read.

        `end` must not be above where reading ended when the walk began.

        Raises:
            LogShrank: the broker has lost records that were there.
        """
        while self._passed < end:
            message = self._ahead or next_message(self._consumer, f"{self._name}: the log goes on to {end}")
            _, offset = record_position(message)
            if offset < self._passed or (message.error() is not None and offset < end):
                raise LogShrank(
                    f"{self._name}: the log ends at {offset}, it went on to {end} a moment ago: the broker lost "
                    "records (an unclean leader election?), or the topic was created anew; run the audit again"
                )
            if offset >= end:
                self._ahead = message if message.error() is None else None
                self._passed = end
                return
            self._ahead = None
            self._passed = offset + 1
            yield message


def next_message(consumer: Consumer, waiting: str) -> Message:
    """Return the next record, or the end of a partition (the only error that is returned)."""
    deadline = Deadline.after(_SILENCE_S, time.monotonic())
    while left := deadline.remaining(time.monotonic()):
        message = consumer.poll(left)
        error = None if message is None else message.error()
        if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
            return message
        if error is not None and next_step(error) is not NextStep.AGAIN:  # else the client goes on by itself
            raise KafkaException(error)
    raise BrokerUnavailable(f"no record for {_SILENCE_S:.0f} s. {waiting}")


def record_position(message: Message) -> tuple[int, int]:
    """Return partition and offset of a record; at the end of a partition, the offset of the next one."""
    partition, offset = message.partition(), message.offset()
    return (-1 if partition is None else partition), (-1 if offset is None else offset)


def headers_of(message: Message) -> dict[str, bytes]:
    """Return the headers of a record, of several with one name the last.

    If a name is not UTF-8, the client raises SystemError instead: then only the value of the letter is kept.
    """
    try:
        found = dict(message.headers() or [])
    except SystemError:
        return {"error": b"its headers cannot be read: a name is not UTF-8"}
    return {name: value.encode() if isinstance(value, str) else value or b"" for name, value in found.items()}


@contextmanager
def open_topic(settings: KafkaSettings, topic: Topic | str, group: str) -> Iterator[TopicLog]:
    """Open a topic of the catalogue.

    Args:
        settings: of the broker.
        topic: without its prefix.
        group: whose committed offsets `committed` returns.

    Raises:
        BrokerUnavailable: here and inside the block.
        TopicMissing: the broker has no such topic.
    """
    name = settings.topic_prefix + (topic if isinstance(topic, str) else topic.name)
    with _translated(settings, name, group), _consumer(settings, group) as consumer:
        yield TopicLog(consumer, name, topic_id(settings, name))


@contextmanager
def _consumer(settings: KafkaSettings, group: str) -> Iterator[Consumer]:
    consumer = new_log_reader(settings, group)
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def _translated(settings: KafkaSettings, topic: str, group: str) -> Iterator[None]:
    """Turn the client's errors into ours; a refused right has its name."""
    try:
        yield
    except TopicRefused as error:  # it is described first
        raise RightMissing(settings, [f"Read on Topic {topic}"]) from error
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise RightMissing(settings, [f"Read on Topic {topic}"]) from error
        if cause.code() in (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._TIMED_OUT):
            _check_group(settings, group)  # a client that may not see a group asks for it until its time is up
        raise BrokerUnavailable(f"cannot read the log at {settings.bootstrap_servers}: {cause.str()}") from error


def _check_group(settings: KafkaSettings, group: str) -> None:
    names, right = (
        ResourceNames(settings.topic_prefix, group),
        Right("Group", SINK_GROUP, "Describe", "the sink's offsets"),
    )
    if list(lacking(admin_client(settings), [right], names)):
        raise RightMissing(settings, [right.said(names)])
