"""The Kafka clients of a sink, configured."""

from __future__ import annotations

import logging
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from runbus.config.kafka import KafkaSettings
from runbus.sink.settings import SinkSettings

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
_QUIET = logging.getLogger("runbus.sink.librdkafka")


def new_consumer(settings: SinkSettings, protocol: str) -> Consumer:
    """Return a consumer of the group that does nothing by itself: no commits, no offset resets."""
    config: dict[str, object] = {
        **settings.kafka.client_config(),
        "group.id": settings.group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # a reset would move a partition without a word: ours are explicit (opening.py)
        "auto.offset.reset": "error",
        # `episodes` is written in transactions: what was aborted is nobody's to store. It is the default; the promise
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
        "log_level": 4,
    }
    if protocol == "classic":
        config |= {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(settings.session_seconds * 1000),
            "heartbeat.interval.ms": max(300, min(3000, int(settings.session_seconds * 1000 / 4))),
        }
    else:
        # per topic: the partitions of `steps`, which are the work, are shared out evenly
        config["group.remote.assignor"] = "range"
    if settings.instance_id:
        config["group.instance.id"] = settings.instance_id
    return Consumer(config, logger=_QUIET)


def new_reader(kafka: KafkaSettings, group: str) -> Consumer:
    """Return a consumer that asks what the group committed; it never joins, and logs nothing of its own."""
    config = {
        **kafka.client_config(),
        "group.id": group,
        "enable.auto.commit": False,
        "reconnect.backoff.max.ms": 2000,
        "log_level": 0,
    }
    return Consumer(config)


def new_producer(settings: SinkSettings) -> Producer:
    """Return the producer of dead letters."""
    return Producer(
        {
            **settings.kafka.producer_config(),
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            "message.max.bytes": 8 * 1024 * 1024,
            "reconnect.backoff.max.ms": 2000,
            "log_level": 4,
        },
        logger=_QUIET,
    )


def choose_protocol(settings: SinkSettings, admin: AdminClient) -> str:
    """Return `consumer` (KIP-848) or `classic`.

    A static member that was killed blocks its own successor under KIP-848 until the session ends
    (UNRELEASED_INSTANCE_ID), while classic lets it in at once: with an instance id, classic is what was asked for.
    """
    if settings.group_protocol != "auto":
        return settings.group_protocol
    if settings.instance_id:
        return "classic"
    return "consumer" if _attempt(lambda: _has_consumer_protocol(admin)) else "classic"


def _has_consumer_protocol(admin: AdminClient) -> bool:
    broker = next(iter(admin.list_topics(timeout=_TIMEOUT_S).brokers))
    resource = ConfigResource(ResourceType.BROKER, str(broker))
    (future,) = admin.describe_configs([resource], request_timeout=_TIMEOUT_S).values()
    entry = future.result(timeout=_TIMEOUT_S + 1).get("group.coordinator.rebalance.protocols")
    return entry is not None and "consumer" in str(entry.value).split(",")


def _attempt(question: Callable[[], bool]) -> bool:
    """A broker that does not say (no right to, or too old to know) gets the protocol that every broker has."""
    try:
        return question()
    except (KafkaException, TimeoutError) as error:
        log.info("sink.group_protocol classic, because the broker does not say: %s", error)
        return False
