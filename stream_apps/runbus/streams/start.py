"""What must be true before an app reads a record, each with one clear sentence where it is not."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.config.kafka import KafkaSettings
from runbus.schemas.admin import BrokerUnavailable, TopicMissing, admin_client, ask_topics
from runbus.schemas.rights import check_rights
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
from runbus.streams.api import App

log = logging.getLogger(__name__)
# A broker that starts beside us is given this long; a wrong address should not look like patience.
_BROKER_S = 30.0
_ASK_S = 5.0
_SAY_S = 10.0


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


async def check_topics(settings: KafkaSettings, app: App, stop: asyncio.Event) -> SourceTopic:
    """Return the source topic once the broker answers and has every topic that the app reads or writes.

    Raises:
        BrokerUnavailable: no answer within 30 s, with the reason.
        RightMissing: this user may not do all that the app does.
        TopicMissing: a topic is missing, or the state has another number of partitions than the steps.
    """
    admin = admin_client(settings)
    listed = await _listed(settings, admin, app, stop)
    prefix = settings.topic_prefix
    output = EPISODES if app.kind == "episodes" else LIVE_METRICS
    steps, state = prefix + STEPS.name, prefix + state_topic(app).name
    needed = [steps, state, *(prefix + t.name for t in (RUNS, output, DEAD_LETTERS, HEARTBEATS))]
    missing = [name for name in needed if name not in listed]
    if missing:
        raise TopicMissing(
            f"topics missing at {settings.bootstrap_servers}: {', '.join(missing)}; run `runbus topics apply` "
            "(RUNBUS_TOPIC_PREFIX is their prefix)"
        )
    if listed[steps] != listed[state]:
        raise RunBusError(
            f"topic {state} has {listed[state]} partitions and {steps} has {listed[steps]}: they must be the same; "
            f"delete {state} (its app starts anew from the log) and run `runbus topics apply`"
        )
    return SourceTopic(steps, await asyncio.to_thread(_topic_id, admin, steps), listed[steps], admin)


async def _listed(settings: KafkaSettings, admin: AdminClient, app: App, stop: asyncio.Event) -> dict[str, int]:
    """Return topic -> partitions."""
    loop = asyncio.get_running_loop()
    deadline, say_at = loop.time() + _BROKER_S, 0.0
    while True:
        try:
            found = await asyncio.to_thread(ask_topics, settings, admin, _ASK_S)
            await asyncio.to_thread(check_rights, settings, admin, app.kind)
        except (BrokerUnavailable, KafkaException) as error:
            if loop.time() > deadline or stop.is_set():
                raise
            if loop.time() >= say_at:
                say_at = loop.time() + _SAY_S
                log.warning("streams.waiting for Kafka: %s", error)
            await asyncio.sleep(1.0)
        else:
            return found
