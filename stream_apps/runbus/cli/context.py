"""Gives every command its settings: from the flags, the environment and the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import typer

from runbus.config.catalogue import STREAM_APPS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import Sources, read_sources
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import AppTopics
from runbus.kafka.user_apps import user_apps
from runbus.schemas.codec import Codec
from runbus.schemas.registry import codec


@dataclass(frozen=True)
class Settings:
    """The settings of one command, read and checked at their first use; `flags` by variable name."""

    flags: Mapping[str, str]

    @cached_property
    def sources(self) -> Sources:
        """Flags, environment and file. Raises ConfigError."""
        return read_sources(self.flags)

    @property
    def kafka(self) -> KafkaSettings:
        """The broker's settings. Raises ConfigError."""
        return KafkaSettings.load(self.sources)

    @property
    def stream_apps(self) -> tuple[AppTopics, ...]:
        """The stream apps of the installation's users. Raises ConfigError."""
        return user_apps(self.sources.get(STREAM_APPS))

    @property
    def clickhouse(self) -> ClickHouseSettings:
        """ClickHouse's settings. Raises ConfigError."""
        return ClickHouseSettings.load(self.sources)

    @property
    def codec(self) -> Codec:
        """The codec, with the registry if one is set. Raises ConfigError."""
        return codec(self.sources)


def settings(context: typer.Context) -> Settings:
    """Return the settings that the root command read."""
    found = context.find_object(Settings)
    assert found is not None
    return found
