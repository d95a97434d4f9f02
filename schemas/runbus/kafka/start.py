"""Waits at a start for what a consumer needs of Kafka: an answer, its topics, and its rights on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runbus.config.waiting import Patience, ask_until_answered
from runbus.kafka.admin import ask_topics
from runbus.kafka.errors import BrokerUnavailable, TopicMissing
from runbus.kafka.principals import Principal, Role
from runbus.kafka.rights import check_rights
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread

log = logging.getLogger(__name__)
# A broker that starts at the same time has this long; a wrong address should not wait for ever. No partition is
# owned yet, so neither session nor poll interval runs. SIGTERM ends the wait after the question that is under way.
BROKER_S = 30.0
# One question to a broker that hangs. SIGTERM waits for it, and for the two about rights (10 s each): 25 s of the 30 s
# that pass before SIGKILL, of which nothing else is used at a start.
_ASK_S = 5.0


@dataclass(frozen=True, slots=True)
class Needs:
    """The rights that a component needs.

    Attributes:
        role: of the catalogue of principals, or a principal that is none of it (a user's stream app).
        group: of the sink, if it is not the prefix and `sink`.
    """

    role: Role | Principal
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
    async def ask() -> dict[str, int]:
        listed = await in_thread(lambda: ask_topics(settings, admin, _ASK_S), "runbus-start")
        await in_thread(lambda: check_rights(settings, admin, needs.role, needs.group), "runbus-start")
        return listed

    def say(error: BrokerUnavailable | KafkaException) -> None:
        log.warning("start.waiting for Kafka: %s", error)

    patience = Patience[BrokerUnavailable | KafkaException]((BrokerUnavailable, KafkaException), say, BROKER_S)
    return await ask_until_answered(ask, stop, patience)
