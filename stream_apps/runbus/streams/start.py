"""What must be true before an app reads a record, each with one clear sentence where it is not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.kafka.admin import unavailable
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import TopicMissing
from runbus.kafka.model import LogUnavailable
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.start import Needs, needed_topics
from runbus.kafka.topic_ids import kafka_ids
from runbus.kafka.topics import (
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
from runbus.streams.api import App


def state_topic(app: App) -> Topic:
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
            found = await kafka_ids(self.admin, [self.name])
        except LogUnavailable:
            return True
        return found.get(self.name, self.id) == self.id


async def check_topics(settings: KafkaSettings, app: App, stop: asyncio.Event) -> SourceTopic | None:
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
    try:
        ids = await kafka_ids(admin, [steps])
    except LogUnavailable as error:
        raise unavailable(settings, admin, str(error)) from error
    if steps not in ids:
        raise TopicMissing(f"topic {steps} was deleted just now: run `runbus topics apply`")
    return SourceTopic(steps, ids[steps], found[steps], admin)
