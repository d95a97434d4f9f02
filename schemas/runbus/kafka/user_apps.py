"""Knows the stream apps of an installation's users: by its name alone each has its topics, its group and its rights.

So whoever creates topics and gives rights needs no code of the app (docs/streams.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from runbus.config import catalogue as c
from runbus.config.errors import ConfigError
from runbus.kafka.principals import PRINCIPALS, READER, ROLES, Principal, Right, stream_app_principal
from runbus.kafka.stream_apps import AppTopics
from runbus.kafka.topics import DAY_MS, TOPICS, Topic, state_topic

_NAME = re.compile("[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_TAKEN = frozenset(ROLES) | frozenset(topic.name for topic in TOPICS)


def user_app(name: str) -> AppTopics:
    """Return what the app of a user is to the broker. Raises ConfigError if nothing may be called so."""
    if not _NAME.fullmatch(name) or name.endswith("-changelog"):
        raise ConfigError(
            f"stream app {name[:100]!r}: give it a name of 1 to 40 lower-case letters, digits and '-' that begins with "
            "a letter and does not end in '-changelog'"
        )
    if name in _TAKEN:
        raise ConfigError(f"stream app {name!r}: RunBus has a topic or a role of that name; choose another")
    output = Topic(name, "chosen by the app", None, True, "delete", 30 * DAY_MS)
    return AppTopics(name, output, state_topic(name, "chosen by the app"), by_stream=False)


def user_apps(text: str) -> tuple[AppTopics, ...]:
    """Return the apps of RUNBUS_STREAM_APPS: names with `;` between them. Raises ConfigError."""
    names = dict.fromkeys(filter(None, (part.strip() for part in text.split(";"))))
    try:
        return tuple(user_app(name) for name in names)
    except ConfigError as error:
        raise ConfigError(f"{c.STREAM_APPS.env}: {error}") from error


def all_topics(apps: Sequence[AppTopics]) -> tuple[Topic, ...]:
    """Return the topics of an installation with these apps."""
    return (*TOPICS, *(topic for app in apps for topic in (app.output, app.state)))


def all_principals(apps: Sequence[AppTopics]) -> tuple[Principal, ...]:
    """Return the principals of an installation with these apps: readers may read their results too."""
    read = tuple(
        right
        for app in apps
        for right in (
            Right("Topic", app.output.name, "Read", "to show and to compare"),
            Right("Group", app.name, "Describe", "how far the app is"),
        )
    )
    known = (replace(p, rights=(*p.rights, *read)) if p is READER else p for p in PRINCIPALS)
    return (*known, *(principal_of(app) for app in apps))


def principal_of(app: AppTopics) -> Principal:
    """Return the principal of a stream app."""
    return stream_app_principal(app, f"`runbus stream-app`, {app.name}")
