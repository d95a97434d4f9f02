"""What must be true before an app reads a record, each with one clear sentence where it is not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.config.kafka import KafkaSettings
from runbus.schemas.admin import admin_client
from runbus.schemas.start import Needs, needed_topics
from runbus.schemas.topics import (
    DEAD_LETTERS,
    EPISODES,
    EPISODES_STATE,
    HEARTBEATS,
    LIVE_METRICS,
    LIVE_METRICS_STATE,
    RUNS,
    STEPS,
    Topic,
)
from runbus.streams.api import StreamApp

_ASK_S = 5.0


def state_topic(app: StreamApp) -> Topic:
    """Return where the state of an app is kept."""
    return EPISODES_STATE if app.kind == "episodes" else LIVE_METRICS_STATE


@dataclass(frozen=True, slots=True)
class SourceTopic:
    """The topic `steps` as it was at the start."""

    name: str
    id: str
    partitions: int
    admin: AdminClient

    async def unchanged(self) -> bool:
        """Return whether the topic is still the same; also where the broker cannot say."""
        try:
            found = await asyncio.to_thread(_topic_id, self.admin, self.name)
        except KafkaException:
            return True
        return found in ("", self.id)


def _topic_id(admin: AdminClient, name: str) -> str:
    (future,) = admin.describe_topics(TopicCollection([name]), request_timeout=_ASK_S).values()
    try:
        return str(future.result(timeout=_ASK_S + 1).topic_id)
    except TimeoutError:
        return ""


async def check_topics(settings: KafkaSettings, app: StreamApp, stop: asyncio.Event) -> SourceTopic | None:
    """Return the source topic once the broker answers and has every topic that the app reads or writes.

    None where `stop` was set before the broker answered.

    Raises:
        BrokerUnavailable: no answer within 30 s, with the reason.
        RightMissing: this user may not do all that the app does.
        TopicMissing: a topic is missing.
        RunBusError: the state has another number of partitions than the steps.
    """
    admin, prefix = admin_client(settings), settings.topic_prefix
    output = EPISODES if app.kind == "episodes" else LIVE_METRICS
    steps, state = prefix + STEPS.name, prefix + state_topic(app).name
    others = [prefix + topic.name for topic in (RUNS, output, DEAD_LETTERS, HEARTBEATS)]
    found = await needed_topics(settings, admin, [steps, state, *others], stop, Needs(app.kind))
    if found is None:
        return None
    if found[steps] != found[state]:
        raise RunBusError(
            f"topic {state} has {found[state]} partitions and {steps} has {found[steps]}: they must be the same; "
            f"delete {state} (its app starts anew from the log) and run `runbus topics apply`"
        )
    return SourceTopic(steps, await asyncio.to_thread(_topic_id, admin, steps), found[steps], admin)
