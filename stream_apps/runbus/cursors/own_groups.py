"""Lists the consumer groups of an installation itself, and the topics that each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from runbus.clickhouse.tables import STORED_TOPICS
from runbus.kafka.stream_apps import OWN_APPS, AppTopics
from runbus.kafka.topics import STEPS, TOPICS, Topic

#: What a group is to an installation: "sink", the name of a stream app, or "user" = none of its processes.
Kind: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one installation.

    Attributes:
        prefix: of its topics, and of the groups of its stream apps.
        sink_group: of its sink.
        apps: its stream apps, those of its users too. Their position is in the state; the committed offset only
            repeats it.
    """

    prefix: str
    sink_group: str
    apps: tuple[AppTopics, ...] = OWN_APPS

    def own_groups(self) -> tuple[str, ...]:
        """Return the groups of its processes."""
        return (self.sink_group, *(self.prefix + app.name for app in self.apps))

    def kind(self, group: str) -> Kind:
        """Return what a group is."""
        if group == self.sink_group:
            return "sink"
        app = self.app(group)
        return "user" if app is None else app.name

    def app(self, group: str) -> AppTopics | None:
        """Return the stream app of a group; None = it is none of one."""
        return next((app for app in self.apps if group == self.prefix + app.name), None)

    def read_by(self, group: str) -> tuple[str, ...]:
        """Return the full names of the topics that a process reads in this group; none for a user's."""
        kind = self.kind(group)
        if kind == "sink":
            return tuple(self.prefix + stored.topic for stored in STORED_TOPICS)
        return () if kind == "user" else (self.prefix + STEPS.name,)

    def readable(self) -> tuple[str, ...]:
        """Return the full names of all topics that a group may read: all but the changelogs."""
        states = {app.state.name for app in self.apps}
        return tuple(self.prefix + topic.name for topic in self._topics() if topic.name not in states)

    def topic(self, name: str) -> str:
        """Return the full name of a topic that is given with or without the prefix."""
        return name if name in self.readable() else self.prefix + name

    def of_catalogue(self, full_name: str) -> Topic | None:
        """Return the topic that has this full name; None = the installation knows none."""
        return next((topic for topic in self._topics() if self.prefix + topic.name == full_name), None)

    def _topics(self) -> tuple[Topic, ...]:
        known = {topic.name for topic in TOPICS}
        return (*TOPICS, *(t for app in self.apps for t in (app.output, app.state) if t.name not in known))
