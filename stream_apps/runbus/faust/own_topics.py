"""Makes the topics that an app of Faust owns, and refuses to start where one that it reads is missing.

Faust itself idles without an error where a topic is missing, and chooses the partitions of those that it makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runbus.kafka.admin import apply_topics, ask_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import TopicMismatch, TopicMissing
from runbus.kafka.topics import DAY_MS, Topic, state_topic

if TYPE_CHECKING:
    from runbus.faust.app import LogApp

_ANSWER_S = 5.0
_BROKER_DECIDES = -1  # how many copies: the broker's default.replication.factor


def prepare(app: LogApp) -> None:
    """Make what is missing of the app's topics. Raises RunBusError: what it reads is missing, or one does not fit."""
    there = ask_topics(app.kafka, admin_client(app.kafka), _ANSWER_S)
    partitions = _partitions(app, there)
    changelogs = {str(table.changelog_topic.get_topic_name()) for table in app.tables.values()}
    missing = []
    for name in sorted(changelogs | app.made):
        if name not in there:
            missing.append(_topic(app, name, changelog=name in changelogs))
        elif there[name] != partitions:
            raise TopicMismatch(
                f"topic {name} has {there[name]} partitions and what the app reads has {partitions}: they must be the "
                f"same; stop the app, delete that topic, and `runbus cursors reset {app.conf.id} --to beginning`: its "
                "tables then start anew from the log"
            )
    if missing:
        apply_topics(app.kafka, partitions, _BROKER_DECIDES, missing)


def _partitions(app: LogApp, there: Mapping[str, int]) -> int:
    missing = sorted(app.read - there.keys())
    if missing:
        raise TopicMissing(
            f"topics missing at {app.kafka.bootstrap_servers}: {', '.join(missing)}; run `runbus topics apply` "
            "(RUNBUS_TOPIC_PREFIX is their prefix)"
        )
    return max((there[name] for name in app.read), default=1)


def _topic(app: LogApp, full_name: str, *, changelog: bool) -> Topic:
    name = full_name.removeprefix(app.kafka.topic_prefix)
    if changelog:
        return replace(state_topic(name, "the table's"), name=name)
    return Topic(name, "chosen by the app", None, True, "delete", 30 * DAY_MS)
