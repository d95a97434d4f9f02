"""What every consumer needs of Kafka before it reads a record: an answer, and its topics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runbus.config.kafka import KafkaSettings
from runbus.schemas.admin import BrokerUnavailable, TopicMissing

log = logging.getLogger(__name__)
# A broker that starts beside us is given this long; a wrong address should not look like patience.
BROKER_S = 30.0
_ASK_S = 5.0
# Between two questions, and between two log lines that say the same.
_AGAIN_S = 1.0
_SAY_S = 10.0


async def needed_topics(
    settings: KafkaSettings, admin: AdminClient, names: Sequence[str], stop: asyncio.Event
) -> dict[str, int] | None:
    """Return topic -> partitions of what the broker has, once it answers; None where `stop` was set before it did.

    Args:
        names: topics that have to be there, with their prefix.

    Raises:
        BrokerUnavailable: no answer within 30 s.
        TopicMissing: the broker does not have them all.
    """
    found = await _listed(settings.bootstrap_servers, admin, stop)
    missing = [name for name in names if found is not None and name not in found]
    if missing:
        raise TopicMissing(
            f"topics missing at {settings.bootstrap_servers}: {', '.join(missing)}; run `runbus topics apply` "
            "(RUNBUS_TOPIC_PREFIX is their prefix)"
        )
    return found


async def _listed(servers: str, admin: AdminClient, stop: asyncio.Event) -> dict[str, int] | None:
    loop = asyncio.get_running_loop()
    deadline, say_at = loop.time() + BROKER_S, 0.0
    while not stop.is_set():
        try:
            listed = await asyncio.to_thread(lambda: admin.list_topics(timeout=_ASK_S))
        except KafkaException as error:
            said = error.args[0].str()
            if loop.time() > deadline:
                raise BrokerUnavailable(
                    f"no Kafka broker answers at {servers} ({said}): is it running? "
                    "`runbus up` starts a local one; KAFKA_BOOTSTRAP_SERVERS names another"
                ) from error
            if loop.time() >= say_at:
                say_at = loop.time() + _SAY_S
                log.warning("start.waiting for Kafka at %s: %s", servers, said)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN_S)
        else:
            return {name: len(topic.partitions) for name, topic in listed.topics.items()}
    return None
