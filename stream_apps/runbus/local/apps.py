"""What runs on the engines of a local stack, and what they need first: topics and tables."""

from __future__ import annotations

import sys

from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.kafka import KafkaSettings
from runbus.config.sources import CONFIG_FILE_ENV, Sources, read_sources
from runbus.local.stack import App, Endpoints
from runbus.schemas.admin import apply_topics

#: Enough that several consumers can share a topic; few enough for one small machine.
LOCAL_PARTITIONS = 4

APPS: tuple[App, ...] = (App("sink", (sys.executable, "-m", "runbus.cli", "--log-level", "info", "sink")),)


def sources(endpoints: Endpoints) -> Sources:
    """Return the settings of a running local stack, whatever the environment names."""
    return read_sources(environ={CONFIG_FILE_ENV: str(endpoints.config_file)})


def prepare(endpoints: Endpoints) -> None:
    """Create the topics and the tables; safe to repeat."""
    found = sources(endpoints)
    apply_topics(KafkaSettings.load(found), LOCAL_PARTITIONS)
    migrate(ClickHouseSettings.load(found))
