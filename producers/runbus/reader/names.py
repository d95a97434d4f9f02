"""Checks what a reader is called: its name is part of the name of a consumer group."""

from __future__ import annotations

import re

from runbus.config.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def check_name(name: str | None) -> None:
    """Raise ConfigError unless it can be the name of a cursor; None = no cursor."""
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(f"reader name {name[:100]!r}: give 1 to 100 letters, digits, '.', '_' and '-'")


def check_instance(instance: str, name: str | None) -> None:
    """Raise ConfigError unless it can be the name of a process in a group; "" = none."""
    if instance and name is None:
        raise ConfigError("instance= is for a reader with a name: give it one")
    if instance and not _NAME.fullmatch(instance):
        raise ConfigError(f"instance {instance[:100]!r}: give 1 to 100 letters, digits, '.', '_' and '-'")
