"""Makes the clients of aiokafka and keeps their quirks in one file; `client_errors.py` sorts their errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import ProducerClosed, TransactionalIdAuthorizationFailed
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import OffsetAndMetadata

from runbus.kafka.errors import RightMissing
from runbus.kafka.model import Fenced, TopicPartition
from runbus.kafka.next_step import NextStep
from runbus.kafka.settings import KafkaSettings
from runbus.streams.client_errors import CLIENT_ERRORS, next_step, own_state_checked, said
from runbus.streams.shard import FENCE_KEY

Consumer: TypeAlias = AIOKafkaConsumer
Producer: TypeAlias = AIOKafkaProducer
Assigned: TypeAlias = Callable[[set[TopicPartition]], None]
Revoked: TypeAlias = Callable[[set[TopicPartition]], Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)

# An idle fetch waits at most this long at the broker: stream time of a quiet partition is that old.
_FETCH_WAIT_MS = 200
_FETCH_BYTES = 8 * 1024 * 1024
# The broker ends an abandoned transaction after this; until then readers of committed records wait. A new owner ends it
# at once.
_TRANSACTION_MS = 30_000
_REQUEST_MS = 20_000
# For a takeover, a transaction or its opening, without an answer: past it a new client is made, because this one
# may wait for a broker that is gone for good (membership.py). Longer than the broker lets the transaction live (30 s)
# and a request (20 s), so nothing is given up that could still end well.
_ANSWER_S = 60.0
# How old a client's picture of the cluster may be. While brokers start again it may have one of three, and nothing else
# makes a client that works ask again; the default is 5 minutes.
_METADATA_MS = 15_000
# How long the group waits for a member whose partitions are taken away; the engine's deadline is shorter.
_REBALANCE_MS = 30_000
_RETRY_MS = 20  # the usual reason passes within milliseconds: the transaction before is being ended
# A producer flushes before it ends; one whose broker is away never does. What it did not write is the next owner's.
_CLOSE_S = 5.0
_DROP_S = 1.0  # to close its sockets then


def _options(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": _REQUEST_MS,
        "metadata_max_age_ms": _METADATA_MS,
    }
    if settings.uses_password:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.reveal(),
        }
    if settings.uses_tls:
        options["ssl_context"] = create_ssl_context(
            cafile=settings.ssl_ca_location or None,
            certfile=settings.ssl_certificate_location or None,
            keyfile=settings.ssl_key_location or None,
            # never None: OpenSSL would ask for it at the terminal
            password=settings.ssl_key_password.reveal,
        )
    return options


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Hands on which partitions the group gives and takes; aiokafka waits for both calls before it goes on."""

    def __init__(self, assigned: Assigned, revoked: Revoked) -> None:
        self._assigned = assigned
        self._revoked = revoked

    async def on_partitions_revoked(self, revoked: Iterable[ClientPartition]) -> None:
        """Partitions are taken away."""
        await self._revoked({TopicPartition(*partition) for partition in revoked})

    async def on_partitions_assigned(self, assigned: Iterable[ClientPartition]) -> None:
        """Partitions are given."""
        self._assigned({TopicPartition(*partition) for partition in assigned})


def reader(settings: KafkaSettings) -> Consumer:
    """Return a consumer without a group, which is assigned partitions by its caller; it reads what is committed."""
    return AIOKafkaConsumer(
        **_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )


def pause(consumer: Consumer, partition: TopicPartition) -> None:
    """Stop fetching a partition. aiokafka takes only its own class here."""
    consumer.pause(ClientPartition(*partition))


def resume(consumer: Consumer, partition: TopicPartition) -> None:
    """Fetch it again."""
    consumer.resume(ClientPartition(*partition))


async def read(consumer: Consumer, seconds: float, most: int | None = None) -> dict[TopicPartition, list[Any]]:
    """Return what arrives, at most `most` records. Raises CLIENT_ERRORS.

    If aiokafka's fetching task has ended, no error tells so: the consumer would wait for ever.
    """
    fetching = consumer._fetcher.error_future
    if fetching.done() and not fetching.cancelled():
        fetching.result()
    with own_state_checked():
        found: dict[TopicPartition, list[Any]] = await consumer.getmany(
            timeout_ms=int(seconds * 1000), max_records=most
        )
    return found


async def close_client(client: Consumer | Producer) -> None:
    """Stop a client for good, within a few seconds, whatever state it is in, and also if the caller is cancelled."""
    try:
        with own_state_checked():
            async with asyncio.timeout(_CLOSE_S):
                await client.stop()
    except BaseException as error:
        log.debug("streams.dropped: %s", said(error))
        with contextlib.suppress(Exception), own_state_checked():
            async with asyncio.timeout(_DROP_S):
                await _drop(client)
        if not isinstance(error, Exception):
            raise  # it is given up, so its own errors do not count any more


async def _drop(client: Consumer | Producer) -> None:
    """End what `stop` left running: tasks that would go on to ask brokers for ever."""
    if isinstance(client, AIOKafkaConsumer):
        tasks, connections = _tasks_of(client), client._client
    else:
        client._message_accumulator.fail_all(ProducerClosed())  # `stop` still waits for what was not sent
        tasks, connections = [client._sender.sender_task], client.client
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await connections.close()
    await asyncio.gather(*running, return_exceptions=True)


def _tasks_of(consumer: Consumer) -> list[asyncio.Task[None] | None]:
    fetcher, coordinator = consumer._fetcher, consumer._coordinator
    fetching = [] if fetcher is None else [fetcher._fetch_task, *fetcher._pending_tasks]
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    return [*fetching, *(getattr(coordinator, name, None) for name in names)]


def heartbeat_seconds(session_seconds: float) -> float:
    """Return how often a member of a group shows that it lives, and hears whether the group changes."""
    return min(3.0, session_seconds / 4)


def member(settings: KafkaSettings, group: str, instance_id: str, session_seconds: float) -> Consumer:
    """Return a consumer of a group. It commits nothing: offsets are part of the transactions."""
    return AIOKafkaConsumer(
        **_options(settings),
        group_id=group,
        group_instance_id=instance_id or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
        session_timeout_ms=int(session_seconds * 1000),
        heartbeat_interval_ms=int(heartbeat_seconds(session_seconds) * 1000),
        max_poll_interval_ms=300_000,
        rebalance_timeout_ms=_REBALANCE_MS,
    )


def sender(settings: KafkaSettings) -> Producer:
    """Return a producer for what may repeat or be lost: live metrics."""
    return AIOKafkaProducer(
        **_options(settings), acks=1, linger_ms=0, compression_type="lz4", max_request_size=_FETCH_BYTES
    )


@dataclass(frozen=True, slots=True)
class Message:
    """One record to write; `partition` None = by its key (murmur2, as everywhere)."""

    topic: str
    key: bytes
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Transactions:
    """Writes everything of one partition, each commit as a transaction.

    The transactional id belongs to the partition, not to the process: `open` makes the broker abort what a former
    owner has under way and refuse everything that it sends from then on.
    """

    def __init__(self, settings: KafkaSettings, group: str, source: TopicPartition) -> None:
        self._settings = settings
        self._group = group
        self._source = source
        self._id = f"{group}-{source.topic}-{source.partition}"
        self._producer = AIOKafkaProducer(
            **_options(settings),
            transactional_id=self._id,
            transaction_timeout_ms=_TRANSACTION_MS,
            acks="all",
            retry_backoff_ms=_RETRY_MS,
            compression_type="lz4",
            max_request_size=_FETCH_BYTES,
        )

    async def open(self) -> None:
        """Become the owner. Raises Fenced if another process became it since."""
        await self._translated(self._producer.start())

    async def commit(self, messages: Iterable[Message], next_offset: int | None) -> int:
        """Write the messages and the offset, all or nothing; return the broker's time of the last one, milliseconds.

        Raises:
            Fenced: another process owns the partition; nothing was written.
            RightMissing: this user may not write under the id.
            CLIENT_ERRORS: anything else; whether it was written is not known: only a new owner, who opens the id and
                reads the state back, finds out.
        """
        written_ms: int = await self._translated(self._commit(messages, next_offset))
        return written_ms

    async def _commit(self, messages: Iterable[Message], next_offset: int | None) -> int:
        producer = self._producer
        await producer.begin_transaction()
        sent = [await producer.send(m.topic, m.value, m.key, m.partition, headers=list(m.headers)) for m in messages]
        for one in sent:  # if the offset is refused first, they are not awaited
            one.add_done_callback(lambda done: done.cancelled() or done.exception())
        if next_offset is not None:
            offsets = {ClientPartition(*self._source): OffsetAndMetadata(next_offset, "")}
            await producer.send_offsets_to_transaction(offsets, self._group)
        written = await asyncio.gather(*sent)
        await producer.commit_transaction()
        return max((int(w.timestamp) for w in written), default=0)

    async def close(self) -> None:
        """Give the client up; an open transaction is aborted by the next owner."""
        await close_client(self._producer)
        ended = self._producer._txn_manager._transaction_waiter
        if ended is not None and ended.done() and not ended.cancelled():
            ended.exception()  # what failed before its end was asked for is heard by nobody else

    async def _translated(self, call: Any) -> Any:  # noqa: ANN401 - its own result
        try:
            with own_state_checked():
                async with asyncio.timeout(_ANSWER_S):
                    return await call
        except TransactionalIdAuthorizationFailed as error:
            raise RightMissing(self._settings, [f"Write on TransactionalId {self._id}"]) from error
        except CLIENT_ERRORS as error:
            if next_step(error) is NextStep.FENCED:
                raise Fenced(f"{self._source.topic}:{self._source.partition} has another owner") from error
            raise


class StateLog:
    """The compacted topic that holds the state of one app; partition p belongs to partition p of the source."""

    def __init__(self, settings: KafkaSettings, topic: str, partition: int) -> None:
        self._settings = settings
        self.topic = topic
        self.partition = partition

    async def take_over(self, transactions: Transactions) -> tuple[list[tuple[bytes, bytes | None]], int]:
        """Read everything that was committed; return it and the broker's time, milliseconds. Raises like `commit`.

        A token is written first, by the new owner, in a transaction of its own: once it is read, everything before it
        was read, and nothing of a former owner can follow it.
        """
        token = uuid.uuid4().bytes
        fence = Message(self.topic, FENCE_KEY, token, self.partition)
        now_ms = await transactions.commit([fence], None)
        consumer = reader(self._settings)
        try:
            await consumer.start()
            partition = ClientPartition(self.topic, self.partition)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            entries: list[tuple[bytes, bytes | None]] = []
            silent_s = 0.0
            while silent_s < _ANSWER_S:
                records = (await read(consumer, 1.0)).get(partition, [])
                silent_s = 0.0 if records else silent_s + 1.0
                for record in records:
                    if record.key == FENCE_KEY and record.value == token:
                        return entries, now_ms
                    entries.append((record.key, record.value))
            raise TimeoutError(f"nothing more was read of {self.topic}:{self.partition} for {_ANSWER_S:.0f} s")
        finally:
            await close_client(consumer)
