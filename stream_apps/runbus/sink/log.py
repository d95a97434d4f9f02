"""Kafka as the protocol's log: a consumer without a thought of its own, and a producer. Its quirks stay here."""

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
from runbus.sink.group import Batch, Closed, Opened, Restart
from runbus.sink.records import read, wrap

log = logging.getLogger(__name__)
T = TypeVar("T")
# One request to the coordinator. Far below max.poll.interval.ms (300 s): a rebalance callback waits for it.
_TIMEOUT_S = 10.0
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


def _error(error: KafkaError) -> Exception:
    """Return what a refused request means for the protocol. Raises RunBusError where a person has to act."""
    raise_for_person(error, "a commit of the sink's group")
    match next_step(error):
        case NextStep.FENCED:
            return Fenced(error.str())
        case NextStep.NEW_CLIENT:
            return Restart(error.str())
        case _:
            return LogUnavailable(error.str())


def _call(request: Callable[[], T]) -> T:
    """Make a request of the client, its errors by what the caller does next."""
    try:
        return request()
    except KafkaException as error:
        raise _error(cause_of(error)) from error


class KafkaMember:
    """One member of the consumer group; every call of its consumer is made by one thread. See group.Member.

    Args:
        consumer: not subscribed yet.
        routes: full topic name -> tables; they say what a value may be.
    """

    def __init__(self, consumer: Consumer, routes: Mapping[str, Route]) -> None:
        self._consumer = consumer
        self._routes = routes
        self._thread = OneThread("runbus-sink-consumer")

    async def subscribe(self, topics: list[str], opened: Opened, closed: Closed) -> None:
        """Join the group; both callbacks run inside a poll, on the loop, while the consumer's thread waits."""

        def assign(_: Consumer, parts: list[ClientPartition]) -> None:
            starts = self._thread.wait(opened(_positions(parts)))
            self._consumer.incremental_assign([ClientPartition(p.topic, p.partition, at) for p, at in starts.items()])

        def give(parts: list[ClientPartition], *, lost: bool) -> None:
            self._thread.wait(closed(_positions(parts), lost))
            self._consumer.incremental_unassign(parts)

        await self._thread.call(
            lambda: self._consumer.subscribe(
                topics,
                on_assign=assign,
                on_revoke=lambda _, parts: give(parts, lost=False),
                on_lost=lambda _, parts: give(parts, lost=True),
            )
        )

    async def read(self, limit: int, seconds: float) -> Batch:
        """Return what arrives; see group.Member.

        Nothing in it is of an assignment that ended meanwhile: librdkafka takes such messages, and its "end of the
        partition", out of the batch when partitions change hands inside the call.
        """
        return await self._thread.call(lambda: _sorted(self._consumer.consume(limit, seconds), self._routes))

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit synchronously; see group.Member."""
        part = ClientPartition(position.topic, position.partition, offset, metadata=intent.encode())

        def commit() -> None:
            answer = _call(lambda: self._consumer.commit(offsets=[part], asynchronous=False))
            error = answer[0].error if answer else None
            if error is not None:
                raise _error(error)

        await self._thread.call(commit)

    def pause(self, position: TopicPartition) -> None:
        """Stop fetching a partition; polling goes on, so the session stays alive."""
        self._thread.post(lambda: self._consumer.pause([ClientPartition(*position)]))

    def resume(self, position: TopicPartition) -> None:
        """Fetch it again, from behind the last record that was read."""
        self._thread.post(lambda: self._consumer.resume([ClientPartition(*position)]))

    async def close(self) -> None:
        """Leave the group; `closed` is called for what is still owned."""
        try:
            await self._thread.call(self._consumer.close)
        finally:
            self._thread.end()


def _positions(parts: Iterable[ClientPartition]) -> list[TopicPartition]:
    return [TopicPartition(part.topic, part.partition) for part in parts]


class KafkaLog:
    """What the sink writes to the log.

    Args:
        new_producer: makes an idempotent one, and another where a producer is of no use any more.
        dead_letters: full name of their topic.
    """

    def __init__(self, new_producer: Callable[[], Producer], dead_letters: str) -> None:
        self._new_producer = new_producer
        self._producer = new_producer()
        self._dead_letters = dead_letters
        self._thread = OneThread("runbus-sink-producer")

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter and wait for the log; see api.Log. One that the topic does not take is shortened."""
        error = await self._append(letter.key, letter.record.value, letter.headers)
        if error is not None and error.code() in _TOO_LARGE:
            value, headers = shortened(letter.record.value or b"", letter.headers)
            error = await self._append(letter.key, value, headers)
        if error is not None:
            self._renew_after(error)
            raise LogUnavailable(f"dead letter {letter.key}: {error.str()}")

    def _renew_after(self, error: KafkaError) -> None:
        """Take another producer where this one will refuse whatever it is given: it gave up, and says so each time."""
        if next_step(error) in (NextStep.NEW_CLIENT, NextStep.FENCED):
            log.warning("sink.new_producer: %s", error.str())
            self._producer = self._new_producer()

    async def _append(self, key: str, value: bytes | None, headers: Headers) -> KafkaError | None:
        """Append to the dead letters; return None once the log has it, else why not."""
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
        """Give what was sent that long to arrive."""
        await self._thread.call(lambda: self._producer.flush(seconds))
        self._thread.end()


def _sorted(messages: Iterable[Message], routes: Mapping[str, Route]) -> Batch:
    batch = Batch()
    for message in messages:
        error = message.error()
        at = TopicPartition(str(message.topic()), int(message.partition() or 0))
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            batch.reached[at] = int(message.offset() or 0)
        elif error is not None:
            _heed(error, at.topic)
        else:
            batch.records.setdefault(at, []).append(_record(at, message, routes[at.topic]))
    return batch


def _record(at: TopicPartition, message: Message, route: Route) -> FramedRecord:
    offset, key, value = int(message.offset() or 0), _raw(message.key()), _raw(message.value())
    timestamp_ms = message.timestamp()[1]
    if route.wrapped:
        return wrap(at, offset, value, headers_of(message), key=key, timestamp_ms=timestamp_ms)
    return read(offset, key, value, timestamp_ms, batched=route.batched)


def _heed(error: KafkaError, topic: str) -> None:
    """Raise what a read's error means, or log it. What was read with it is read again by the next membership."""
    match error.code():
        case KafkaError._AUTO_OFFSET_RESET | KafkaError.OFFSET_OUT_OF_RANGE:
            raise Restart(f"an offset is not in the log any more: {error.str()}")
        case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError.UNKNOWN_TOPIC_ID:
            raise Restart(f"a topic is gone: {error.str()}")
    raise_for_person(error, f"Read on {topic or 'a topic or the group'}")
    match next_step(error):
        case NextStep.NEW_CLIENT:
            raise Restart(error.str())
        case NextStep.FENCED if error.fatal():  # else the client joins again by itself, and the callback tells
            raise Restart(error.str())
    log.warning("sink.kafka %s", error.str())


def _raw(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
