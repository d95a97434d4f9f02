"""Implements the group member and the dead-letter log on Kafka; the client's quirks stay here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as ClientPartition

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.headers import Headers, shortened
from runbus.kafka.model import DeadLetter, Fenced, LogUnavailable, TopicPartition
from runbus.kafka.next_step import NextStep, cause_of, next_step, raise_for_person
from runbus.kafka.threads import OneThread
from runbus.kafka.topic_log import headers_of
from runbus.sink.api import FramedRecord, Route
from runbus.sink.group import OnAssigned, OnRevoked, ReadBatch, Restart
from runbus.sink.records import framed

log = logging.getLogger(__name__)
T = TypeVar("T")
# One request to the coordinator. Far below max.poll.interval.ms (60 s): a rebalance callback waits for it.
_TIMEOUT_S = 10.0
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


def _error(error: KafkaError) -> Exception:
    """Return the protocol's error for a refused request. Raises RunBusError if a person has to act."""
    raise_for_person(error, "a commit of the sink's group")
    match next_step(error):
        case NextStep.FENCED:
            return Fenced(error.str())
        case NextStep.NEW_CLIENT:
            return Restart(error.str())
        case _:
            return LogUnavailable(error.str())


def _call(request: Callable[[], T]) -> T:
    """Make a request; raise its error as the protocol's."""
    try:
        return request()
    except KafkaException as error:
        raise _error(cause_of(error)) from error


class KafkaMember:
    """Reads and commits with one Kafka consumer, all of whose calls one thread makes; see group.GroupMember.

    Args:
        consumer: not subscribed yet.
        routes: full topic name -> tables; they tell how a value is framed.
    """

    def __init__(self, consumer: Consumer, routes: Mapping[str, Route]) -> None:
        self._consumer = consumer
        self._routes = routes
        self._thread = OneThread("runbus-sink-consumer")

    async def subscribe(self, topics: list[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group; both callbacks run on the loop, while the consumer's thread waits inside a poll."""

        def assign(_: Consumer, parts: list[ClientPartition]) -> None:
            starts = self._thread.wait(on_assigned(_positions(parts)))
            self._consumer.incremental_assign([ClientPartition(p.topic, p.partition, at) for p, at in starts.items()])

        def revoke(parts: list[ClientPartition], *, lost: bool) -> None:
            self._thread.wait(on_revoked(_positions(parts), lost))
            self._consumer.incremental_unassign(parts)

        await self._thread.call(
            lambda: self._consumer.subscribe(
                topics,
                on_assign=assign,
                on_revoke=lambda _, parts: revoke(parts, lost=False),
                on_lost=lambda _, parts: revoke(parts, lost=True),
            )
        )

    async def read(self, limit: int, seconds: float) -> ReadBatch:
        """Return what arrives; see group.GroupMember.

        If an assignment ends inside the call, librdkafka removes its messages, and its "end of the partition", from the
        batch.
        """
        return await self._thread.call(lambda: _sorted(self._consumer.consume(limit, seconds), self._routes))

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit; see group.GroupMember."""
        part = ClientPartition(position.topic, position.partition, offset, metadata=intent.encode())

        def commit() -> None:
            answer = _call(lambda: self._consumer.commit(offsets=[part], asynchronous=False))
            error = answer[0].error if answer else None
            if error is not None:
                raise _error(error)

        await self._thread.call(commit)

    def pause(self, position: TopicPartition) -> None:
        """Stop fetching a partition; see group.GroupMember."""
        self._thread.post(lambda: self._consumer.pause([ClientPartition(*position)]))

    def resume(self, position: TopicPartition) -> None:
        """Fetch it again; see group.GroupMember."""
        self._thread.post(lambda: self._consumer.resume([ClientPartition(*position)]))

    async def close(self) -> None:
        """Leave the group; see group.GroupMember."""
        try:
            await self._thread.call(self._consumer.close)
        finally:
            self._thread.end()


def _positions(parts: Iterable[ClientPartition]) -> list[TopicPartition]:
    return [TopicPartition(part.topic, part.partition) for part in parts]


class KafkaLog:
    """Writes dead letters to the log; see api.Log.

    Args:
        new_producer: returns an idempotent producer; called again if one gave up.
        dead_letters: full topic name.
    """

    def __init__(self, new_producer: Callable[[], Producer], dead_letters: str) -> None:
        self._new_producer = new_producer
        self._producer = new_producer()
        self._dead_letters = dead_letters
        self._thread = OneThread("runbus-sink-producer")

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter, shortened if it is too large for the topic; see api.Log."""
        error = await self._append(letter.key, letter.record.value, letter.headers)
        if error is not None and error.code() in _TOO_LARGE:
            value, headers = shortened(letter.record.value or b"", letter.headers)
            error = await self._append(letter.key, value, headers)
        if error is not None:
            raise_for_person(error, f"Write on Topic {self._dead_letters}")
            self._renew_after(error)
            raise LogUnavailable(f"dead letter {letter.key}: {error.str()}")

    def _renew_after(self, error: KafkaError) -> None:
        """Take a new producer if this one gave up: it would refuse every record."""
        if next_step(error) in (NextStep.NEW_CLIENT, NextStep.FENCED):
            log.warning("sink.new_producer: %s", error.str())
            self._producer = self._new_producer()

    async def _append(self, key: str, value: bytes | None, headers: Headers) -> KafkaError | None:
        """Append to the dead letters; return None once the log has it, else the error."""
        outcome: list[KafkaError | None] = []

        def send() -> None:
            self._producer.produce(
                self._dead_letters,
                key=key.encode(),
                value=value,
                headers=list(headers),
                on_delivery=lambda error, _: outcome.append(error),
            )
            self._producer.flush(_TIMEOUT_S)

        try:
            await self._thread.call(send)
        except BufferError as error:
            raise LogUnavailable(str(error)) from error
        except KafkaException as error:  # the client itself refuses it
            return cause_of(error)
        if not outcome:
            raise LogUnavailable(f"dead letter {key}: no answer")
        return outcome[0]

    async def close(self, seconds: float) -> None:
        """Wait that long for records under way, and end."""
        await self._thread.call(lambda: self._producer.flush(seconds))
        self._thread.end()


def _sorted(messages: Iterable[Message], routes: Mapping[str, Route]) -> ReadBatch:
    batch = ReadBatch()
    for message in messages:
        error = message.error()
        at = TopicPartition(str(message.topic()), int(message.partition() or 0))
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            batch.reached[at] = int(message.offset() or 0)
        elif error is not None:
            _raise_or_log(error, at.topic)
        else:
            batch.records.setdefault(at, []).append(_record(at, message, routes[at.topic]))
    return batch


def _record(at: TopicPartition, message: Message, route: Route) -> FramedRecord:
    offset, key, value = int(message.offset() or 0), _raw(message.key()), _raw(message.value())
    return framed(route, at, offset, key, value, message.timestamp()[1], lambda: headers_of(message))


def _raise_or_log(error: KafkaError, topic: str) -> None:
    """Raise a read's error as the session's, or log it. The next membership reads the same records again."""
    match error.code():
        case KafkaError._AUTO_OFFSET_RESET | KafkaError.OFFSET_OUT_OF_RANGE:
            raise Restart(f"an offset is not in the log any more: {error.str()}")
        case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError.UNKNOWN_TOPIC_ID:
            raise Restart(f"a topic is gone: {error.str()}")
    raise_for_person(error, f"Read on {topic or 'a topic or the group'}")
    match next_step(error):
        case NextStep.NEW_CLIENT:
            raise Restart(error.str())
        case NextStep.FENCED if error.fatal():  # else the client joins again by itself
            raise Restart(error.str())
    log.warning("sink.kafka %s", error.str())


def _raw(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
