"""Lists the consumer groups of an installation itself, and the topics that each of them reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runbus.clickhouse.tables import STORED_TOPICS
from runbus.kafka.topics import EPISODES_STATE, LIVE_METRICS_STATE, STEPS, TOPICS, Topic

#: What a group is to an installation; "user" = none of its processes.
Kind = Literal["sink", "episodes", "live-metrics", "user"]
#: The stream apps: their position is in the changelog, and the committed offset only repeats it.
STATE_TOPICS: Mapping[Kind, Topic] = {"episodes": EPISODES_STATE, "live-metrics": LIVE_METRICS_STATE}
STREAM_APPS: tuple[Kind, ...] = tuple(STATE_TOPICS)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one installation.

    Attributes:
        prefix: of its topics, and of the groups of its stream apps.
        sink_group: of its sink.
    """

    prefix: str
    sink_group: str

    def own_groups(self) -> tuple[str, ...]:
        """Return the groups of its processes."""
        return (self.sink_group, *(self.prefix + app for app in STREAM_APPS))

    def kind(self, group: str) -> Kind:
        """Return what a group is."""
        if group == self.sink_group:
            return "sink"
        return next((app for app in STREAM_APPS if group == self.prefix + app), "user")

    def read_by(self, group: str) -> tuple[str, ...]:
        """Return the full names of the topics that a process reads in this group; none for a user's."""
        kind = self.kind(group)
        if kind == "sink":
            return tuple(self.prefix + stored.topic for stored in STORED_TOPICS)
        return () if kind == "user" else (self.prefix + STEPS.name,)

    def readable(self) -> tuple[str, ...]:
        """Return the full names of all topics that a group may read: all but the changelogs."""
        return tuple(self.prefix + topic.name for topic in TOPICS if topic not in STATE_TOPICS.values())

    def topic(self, name: str) -> str:
        """Return the full name of a topic that is given with or without the prefix."""
        return name if name in self.readable() else self.prefix + name

    def of_catalogue(self, full_name: str) -> Topic | None:
        """Return the topic of the catalogue that has this full name."""
        return next((topic for topic in TOPICS if self.prefix + topic.name == full_name), None)
