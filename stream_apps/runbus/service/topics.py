"""Notices that a topic is another one under the same name: offsets and state of the old one mean nothing there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.kafka.model import LogUnavailable
from runbus.kafka.topic_ids import kafka_ids

# Between two looks: a topic that is created anew is read wrongly for no longer than this. Far below the poll interval
# (300 s), and nothing compared with the hours for which a deleted topic is gone.
_LOOK_S = 5.0


class TopicReplaced(RunBusError):
    """The process cannot go on as it is; a new one finds everything that it needs in the log."""


class TopicIdUnknown(RunBusError):
    """The broker does not say which topic stands behind a name: it does not answer, or the topic is just gone."""


async def ids_to_watch(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    """Return Kafka's own id of each topic, by name. Raises TopicIdUnknown if there is one without an answer."""
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
    """Look now and then, until a topic has another id. Raises TopicReplaced.

    A broker that does not answer, or has no topic of that name just now, says nothing: if the topic comes back it has
    another id, and until then nothing can be read from it.
    """
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            found = await kafka_ids(admin, list(known))
        except LogUnavailable:
            continue
        for name, id_ in found.items():
            if id_ != known[name]:
                raise TopicReplaced(f"topic {name} was deleted or re-created")
