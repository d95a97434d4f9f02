"""Waits at a start for what a consumer needs of Kafka: an answer, its topics, and its rights on them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runbus.kafka.admin import ask_topics
from runbus.kafka.errors import BrokerUnavailable, TopicMissing
from runbus.kafka.principals import Role
from runbus.kafka.rights import check_rights
from runbus.kafka.settings import KafkaSettings

log = logging.getLogger(__name__)
# A broker that starts beside us is given this long; a wrong address should not look like patience.
BROKER_S = 30.0
_ASK_S = 5.0
# Between two questions, and between two log lines that say the same.
_AGAIN_S = 1.0
_SAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Needs:
    """Whose rights are needed.

    Attributes:
        role: of the catalogue of principals.
        group: of the sink, if it is not the prefix and `sink`.
    """

    role: Role
    group: str = ""


async def needed_topics(
    settings: KafkaSettings, admin: AdminClient, names: Sequence[str], stop: asyncio.Event, needs: Needs
) -> dict[str, int] | None:
    """Return topic -> partitions of what the broker has, once it answers; None if `stop` was set before it did.

    Args:
        names: topics that have to be there, with their prefix.
        needs: what this user has to be allowed; a topic that it may not see looks like one that is missing.

    Raises:
        BrokerUnavailable: no answer within 30 s, with the reason.
        RightMissing: the broker does not allow it all.
        TopicMissing: the broker does not have them all.
    """
    found = await _listed(settings, admin, stop, needs)
    missing = [name for name in names if found is not None and name not in found]
    if missing:
        raise TopicMissing(
            f"topics missing at {settings.bootstrap_servers}: {', '.join(missing)}; run `runbus topics apply` "
            "(RUNBUS_TOPIC_PREFIX is their prefix)"
        )
    return found


async def _listed(
    settings: KafkaSettings, admin: AdminClient, stop: asyncio.Event, needs: Needs
) -> dict[str, int] | None:
    loop = asyncio.get_running_loop()
    deadline, say_at = loop.time() + BROKER_S, 0.0
    while not stop.is_set():
        try:
            listed = await asyncio.to_thread(ask_topics, settings, admin, _ASK_S)
            await asyncio.to_thread(check_rights, settings, admin, needs.role, needs.group)
        except (BrokerUnavailable, KafkaException) as error:
            if loop.time() > deadline:
                raise
            if loop.time() >= say_at:
                say_at = loop.time() + _SAY_S
                log.warning("start.waiting for Kafka: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN_S)
        else:
            return listed
    return None
