"""Notices that a topic is another one under the same name: offsets and state of the old one mean nothing there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError

# One question to a broker that hangs. Nobody waits for it but the watch, and the end of the process, which has 22 s
# after its grace.
_ASK_S = 5.0
# Between two looks: a topic that is created anew is read wrongly for no longer than this. Far below the poll interval
# (300 s), and nothing compared with the hours for which a deleted topic is gone.
_LOOK_S = 5.0


class TopicReplaced(RunBusError):
    """The process cannot go on as it is; a new one finds everything that it needs in the log."""


class TopicIdUnknown(RunBusError):
    """The broker does not say which topic stands behind a name: it does not answer, or the topic is just gone."""


def topic_ids(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    """Return Kafka's own id of each topic, by name. Raises TopicIdUnknown."""
    if not names:
        return {}
    try:
        futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=_ASK_S)
        return {name: str(future.result(timeout=_ASK_S + 1).topic_id) for name, future in futures.items()}
    except (KafkaException, TimeoutError) as error:
        why = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
        raise TopicIdUnknown(f"cannot look up {', '.join(names)}: {why}; start it again once Kafka answers") from error


async def watch_topics(admin: AdminClient, known: Mapping[str, str]) -> None:
    """Look now and then, until a topic has another id. Raises TopicReplaced.

    A broker that does not answer, or has no topic of that name just now, says nothing: if the topic comes back it has
    another id, and until then nothing can be read from it.
    """
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            found = await asyncio.to_thread(topic_ids, admin, list(known))
        except TopicIdUnknown:
            continue
        for name, id_ in found.items():
            if id_ != known[name]:
                raise TopicReplaced(f"topic {name} was deleted or re-created")
