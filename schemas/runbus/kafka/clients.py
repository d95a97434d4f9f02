"""Makes every client of librdkafka, each with a `client.id` (aiokafka's are made in runbus.streams.kafka)."""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from runbus.config.catalogue import GroupProtocol
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.settings import KafkaSettings, Membership

log = logging.getLogger(__name__)
# What the broker speaks, asked once before a consumer is made: no poll interval runs yet. Two requests to a broker that
# hangs are 20 s of the 30 s between SIGTERM and SIGKILL; the classic protocol is taken then.
_TIMEOUT_S = 10.0
# librdkafka's queue of records read ahead, of all partitions together; the backlogs have their own bound. What it has
# when a partition is paused is read again later.
_READ_AHEAD_KB = 8 * 1024
# A queue that was full is looked at again after this long. The default is 1 s, in which a whole range is stored: the
# partition then waits for the client, not for ClickHouse.
_FULL_MS = 20
_QUIET = logging.getLogger("runbus.kafka.librdkafka")


def admin_client(settings: KafkaSettings) -> AdminClient:
    """Return an admin client; it connects at its first request and logs nothing of its own.

    Raises:
        BrokerUnavailable: the client library refuses the settings (a CA file that is no certificate, say).
    """
    try:
        return _QuietAdmin(settings)
    except KafkaException as error:
        raise BrokerUnavailable(f"the Kafka settings cannot be used: {error.args[0].str()}") from error


class _QuietAdmin(AdminClient):
    """Keeps what goes wrong with its connections in `reasons`, newest last, instead of logging it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.reasons: deque[str] = deque(maxlen=3)
        config: dict[str, Any] = {
            **settings.client_config(),
            "client.id": "runbus-admin",
            "log_level": 0,
            "socket.connection.setup.timeout.ms": 5000,
            "error_cb": lambda error: self.reasons.append(error.str()),
        }
        super().__init__(config)


def new_sink_consumer(kafka: KafkaSettings, membership: Membership) -> Consumer:
    """Return a member of the sink's group that does nothing of its own accord: no commits, no offset resets."""
    config: dict[str, object] = {
        **kafka.client_config(),
        "client.id": "runbus-sink",
        "group.id": membership.group,
        "group.protocol": membership.protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # a reset would move a partition silently: the sink's are explicit (sink/opening.py)
        "auto.offset.reset": "error",
        # `episodes` is written in transactions: what was aborted must not be stored. It is the default; the promise
        # "once per revision" rests on it.
        "isolation.level": "read_committed",
        # Markers of transactions and aborted records hold offsets that are never delivered. "The end is reached at
        # offset n" is how the sink learns that it is past them: else its lag would stay above 0, and retention that
        # deletes a marker would look like a loss.
        "enable.partition.eof": True,
        "check.crcs": True,
        "queued.max.messages.kbytes": _READ_AHEAD_KB,
        "fetch.queue.backoff.ms": _FULL_MS,
        "fetch.wait.max.ms": 100,
        "topic.metadata.refresh.interval.ms": 30_000,
        "reconnect.backoff.max.ms": 2000,
        # for a client that hangs and was left behind (sink/session.py): it holds its partitions so long
        "max.poll.interval.ms": int(max(60, membership.session_seconds) * 1000),
        "log_level": 4,
    }
    if membership.protocol == "classic":
        config |= {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(membership.session_seconds * 1000),
            "heartbeat.interval.ms": max(300, min(3000, int(membership.session_seconds * 1000 / 4))),
        }
    else:
        # per topic: the partitions of `steps`, which are the work, are shared out evenly
        config["group.remote.assignor"] = "range"
    if membership.instance_id:
        config["group.instance.id"] = membership.instance_id
    return Consumer(config, logger=_QUIET)


def new_offsets_reader(kafka: KafkaSettings, group: str) -> Consumer:
    """Return a consumer that asks what the group committed; it never joins, and logs nothing of its own.

    The log ends for it where the broker has it on every replica, transactions that are open included.
    """
    return _asking_consumer(kafka, group, "read_uncommitted")


def new_bounds_reader(kafka: KafkaSettings) -> Consumer:
    """Return the same of no group; the log ends for it before the first transaction that is open."""
    return _asking_consumer(kafka, "runbus-bounds", "read_committed")


def _asking_consumer(kafka: KafkaSettings, group: str, isolation: str) -> Consumer:
    config = {
        **kafka.client_config(),
        "client.id": "runbus-offsets",
        "group.id": group,
        "isolation.level": isolation,
        "enable.auto.commit": False,
        "reconnect.backoff.max.ms": 2000,
        "log_level": 0,
    }
    return Consumer(config)


def new_log_reader(kafka: KafkaSettings, group: str) -> Consumer:
    """Return a consumer that reads partitions by offsets; it never joins the group that it asks about."""
    return Consumer(
        {
            **kafka.client_config(),
            "client.id": "runbus-log-reader",
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # if retention is faster than the reader, it goes on where the log does
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # a question about offsets, and a fetch from another place, wait behind a fetch that waits for records
            "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
    )


def new_reader(
    kafka: KafkaSettings, membership: Membership, on_error: Callable[[KafkaError], None] = lambda _: None
) -> Consumer:
    """Return the consumer of a reader; like the sink's it commits nothing and chooses no offset of its own accord.

    `on_error` hears, while it polls, what is wrong with its connections.
    """
    config: dict[str, object] = {
        **kafka.client_config(),
        "client.id": "runbus-reader",
        "group.id": membership.group,
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(membership.session_seconds * 1000),
        "heartbeat.interval.ms": max(300, min(3000, int(membership.session_seconds * 1000 / 4))),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # a reader says what retention took away
        "isolation.level": "read_committed",
        "enable.partition.eof": True,  # else the lag stays above 0 behind markers of transactions
        "check.crcs": True,
        "queued.max.messages.kbytes": _READ_AHEAD_KB,
        "fetch.queue.backoff.ms": _FULL_MS,
        "fetch.wait.max.ms": 100,
        "topic.metadata.refresh.interval.ms": 30_000,
        "reconnect.backoff.max.ms": 2000,
        "error_cb": on_error,
        "log_level": 0,  # the reader says once what matters
    }
    if membership.instance_id:
        config["group.instance.id"] = membership.instance_id
    return Consumer(config)


def new_feed_reader(kafka: KafkaSettings, group: str, on_error: Callable[[KafkaError], None]) -> Consumer:
    """Return the dashboard's consumer: it joins no group, and what the log has lost is no error of a page.

    `group` is one that its user may describe: the client looks for its coordinator all the same.

    `on_error` hears, while it polls, what is wrong with its connections.
    """
    return Consumer(
        {
            **kafka.client_config(),
            "client.id": "runbus-dashboard",
            "group.id": group,  # it never joins; a name is needed to make a consumer
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "check.crcs": True,
            "queued.max.messages.kbytes": 16 * 1024,
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 30_000,
            "reconnect.backoff.max.ms": 1000,
            "error_cb": on_error,
            "log_level": 0,
        }
    )


def new_command_reader(kafka: KafkaSettings, on_error: Callable[[KafkaError], None]) -> Consumer:
    """Return the consumer of an agent's commands: it joins no group, and asks an idle broker once a second.

    `on_error` hears, while it polls, what is wrong with its connections.
    """
    return Consumer(
        {
            **kafka.client_config(),
            "client.id": "runbus-commands",
            "group.id": "runbus-commands",  # it never joins; a name is needed to make a consumer
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # the topic was created anew, or retention was faster
            "enable.partition.eof": True,
            "check.crcs": True,
            "queued.max.messages.kbytes": 1024,
            # A record ends the wait; a question waits for its end, as a broker answers a connection in order.
            "fetch.wait.max.ms": 1000,
            "topic.metadata.refresh.interval.ms": 30_000,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": on_error,
            "log_level": 0,
        }
    )


def new_commands_producer(
    kafka: KafkaSettings, client_id: str, delivery_seconds: float, on_error: Callable[[KafkaError], None]
) -> Producer:
    """Return the producer of a command: what is not delivered within `delivery_seconds` is given up.

    `on_error` hears, while it flushes, what is wrong with its connections.
    """
    return Producer(
        {
            **kafka.producer_config(),
            "client.id": client_id,
            "message.timeout.ms": int(delivery_seconds * 1000),
            "error_cb": on_error,
            "log_level": 0,
        }
    )


def new_peeking_reader(kafka: KafkaSettings, group: str) -> Consumer:
    """Return a consumer that looks at one record here and there: it reads as little ahead as a client can."""
    return Consumer(
        {
            **kafka.client_config(),
            "client.id": "runbus-peek",
            "group.id": group,  # it never joins; a name is needed to make a consumer
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "queued.min.messages": 1,
            "queued.max.messages.kbytes": 1024,
            # One batch comes whole, however large it is, of the first partition that has one; so the caller gives up
            # what it has seen, and another one is the first.
            "fetch.message.max.bytes": 64 * 1024,
            "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
    )


def new_recorder_producer(kafka: KafkaSettings, options: Mapping[str, object]) -> Producer:
    """Return the producer of an agent's process; `options` win over what every producer has."""
    return Producer({**kafka.producer_config(), "client.id": "runbus-recorder", **options})


def new_copying_producer(kafka: KafkaSettings) -> Producer:
    """Return a producer of records that are in another topic already."""
    return Producer(
        {
            **kafka.producer_config(),
            "client.id": "runbus-copy",
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            "message.max.bytes": 8 * 1024 * 1024,
            "reconnect.backoff.max.ms": 2000,
            "log_level": 0,
        }
    )


def new_dead_letter_producer(kafka: KafkaSettings) -> Producer:
    """Return the sink's producer of dead letters."""
    return Producer(
        {
            **kafka.producer_config(),
            "client.id": "runbus-sink",
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            "message.max.bytes": 8 * 1024 * 1024,
            "reconnect.backoff.max.ms": 2000,
            "log_level": 4,
        },
        logger=_QUIET,
    )


def new_ingest_producer(kafka: KafkaSettings) -> Producer:
    """Return the producer of an ingest's dead letters; that a broker is away its recorders say."""
    return Producer(
        {
            **kafka.producer_config(),
            "client.id": "runbus-ingest",
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            "log_level": 0,
        },
        logger=_QUIET,
    )


def new_heartbeat_producer(kafka: KafkaSettings, delivery_seconds: float) -> Producer:
    """Return a producer of heartbeats: one that is not delivered within `delivery_seconds` is given up."""
    return Producer(
        {
            **kafka.producer_config(),
            "client.id": "runbus-heartbeats",
            "linger.ms": 5,
            "message.timeout.ms": int(delivery_seconds * 1000),
            "reconnect.backoff.max.ms": 2000,
            "log_level": 0,  # the component's own clients say what is wrong with the broker
        }
    )


def never_destroy(client: object) -> None:
    """Keep a client of the parent, in a forked child: its destructor would wait for threads that are not here."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def choose_protocol(admin: AdminClient, membership: Membership) -> GroupProtocol:
    """Return `consumer` (KIP-848) or `classic`.

    A static member that was killed blocks its own successor under KIP-848 until the session ends
    (UNRELEASED_INSTANCE_ID), while classic lets it in at once: with an instance id, classic is what was asked for.
    """
    if membership.protocol != "auto":
        return membership.protocol
    if membership.instance_id:
        return "classic"
    try:
        return "consumer" if _has_consumer_protocol(admin) else "classic"
    except (KafkaException, TimeoutError) as error:  # no right to ask, or too old to know: every broker has classic
        log.info("kafka.group_protocol classic, because the broker does not say: %s", error)
        return "classic"


def _has_consumer_protocol(admin: AdminClient) -> bool:
    broker = next(iter(admin.list_topics(timeout=_TIMEOUT_S).brokers), None)
    if broker is None:  # it does not count itself as alive yet
        return False
    resource = ConfigResource(ResourceType.BROKER, str(broker))
    (future,) = admin.describe_configs([resource], request_timeout=_TIMEOUT_S).values()
    entry = future.result(timeout=_TIMEOUT_S + 1).get("group.coordinator.rebalance.protocols")
    return entry is not None and "consumer" in str(entry.value).split(",")
