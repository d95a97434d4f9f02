"""Notices that a topic was deleted and created anew: offsets and state of the old one mean nothing in the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.kafka.model import LogUnavailable
from runbus.kafka.topic_ids import kafka_ids

# Between two questions: a topic that is created anew is read wrongly for no longer than this. Far below the poll
# interval (300 s), and nothing compared with the hours for which a deleted topic is gone.
_ASK_S = 5.0


class TopicReplaced(RunBusError):
    """The process cannot go on; a new one finds everything that it needs in the log."""


class TopicIdUnknown(RunBusError):
    """The broker does not tell the id of a topic: it does not answer, or the topic was deleted just now."""


async def ids_to_watch(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    """Return Kafka's own id of each topic, by name. Raises TopicIdUnknown if one is not known."""
    try:
        found = await kafka_ids(admin, names)
    except LogUnavailable as error:
        raise TopicIdUnknown(
            f"cannot look up {', '.join(names)}: {error}; start it again once Kafka answers"
        ) from error
    if missing := [name for name in names if name not in found]:
        raise TopicIdUnknown(f"topic {', '.join(missing)} was deleted just now: run `runbus topics apply`")
    return found


async def watch_topics(admin: AdminClient, known: Mapping[str, str]) -> None:
    """Ask every few seconds, until a topic has another id. Raises TopicReplaced.

    A broker that does not answer, or has no topic of that name just now, is asked again: if the topic comes back it has
    another id, and until then nothing can be read from it.
    """
    while True:
        await asyncio.sleep(_ASK_S)
        try:
            found = await kafka_ids(admin, list(known))
        except LogUnavailable:
            continue
        for name, id_ in found.items():
            if id_ != known[name]:
                raise TopicReplaced(f"topic {name} was deleted or re-created")
