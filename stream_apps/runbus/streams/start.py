"""Names the topics that a stream app needs, and checks that its state has as many partitions as `steps`."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config.errors import RunBusError
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import DEAD_LETTERS, HEARTBEATS, RUNS, STEPS
from runbus.service.component import Start
from runbus.streams.api import StreamApp


def source_name(settings: KafkaSettings) -> str:
    """Return the full name of the topic that the app reads."""
    return settings.topic_prefix + STEPS.name


def needed_names(settings: KafkaSettings, app: StreamApp) -> tuple[str, ...]:
    """Return the full name of every topic that the app reads or writes."""
    topics = (STEPS, app.state, RUNS, app.output, DEAD_LETTERS, HEARTBEATS)
    return tuple(settings.topic_prefix + topic.name for topic in topics)


@dataclass(frozen=True, slots=True)
class SourceTopic:
    """The topic `steps` as it was at the start."""

    name: str
    id: str
    partitions: int


def source_topic(start: Start, settings: KafkaSettings, app: StreamApp) -> SourceTopic:
    """Return the source topic. Raises RunBusError: the state has another number of partitions than the steps."""
    steps, state = source_name(settings), settings.topic_prefix + app.state.name
    found = start.partitions
    if found[steps] != found[state]:
        raise RunBusError(
            f"topic {state} has {found[state]} partitions and {steps} has {found[steps]}: they must be the same; "
            f"delete {state} (its app starts anew from the log) and run `runbus topics apply`"
        )
    return SourceTopic(steps, start.topic_ids[steps], found[steps])
