"""What runs on the engines of a local stack, and what they need first: topics, tables, schemas."""

from __future__ import annotations

import sys
import time
from datetime import datetime

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import translated
from runbus.clickhouse.migrate import migrate
from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.config.kafka import KafkaSettings
from runbus.config.sources import Sources, read_sources
from runbus.local.service import last_lines
from runbus.local.stack import App, Endpoints
from runbus.schemas.admin import apply_topics
from runbus.schemas.registry import registry

#: Enough that several consumers can share a topic; few enough for one small machine.
LOCAL_PARTITIONS = 4

#: A sink is ready in 2-3 s; a machine that is busy with other things takes longer.
_SINK_START_S = 60.0

APPS: tuple[App, ...] = (App("sink", (sys.executable, "-m", "runbus.cli", "sink")),)


def sources(endpoints: Endpoints) -> Sources:
    """Return the settings of a running local stack, whatever the environment names."""
    return read_sources(environ={CONFIG_FILE_ENV: str(endpoints.config_file)})


def wait_for_sink(endpoints: Endpoints, began: datetime) -> None:
    """Return once a heartbeat that the sink sent after `began` (UTC) is stored: the whole path works.

    Raises RunBusError, naming the sink's log, when that takes longer than a start should.
    """
    settings = ClickHouseSettings.load(sources(endpoints))
    deadline = time.monotonic() + _SINK_START_S
    client = connect(settings)
    try:
        while not _heard(client, began):
            if time.monotonic() > deadline:
                log = endpoints.config_file.parent / "logs" / "sink.log"
                raise RunBusError(f"the sink stored nothing within {_SINK_START_S:.0f} s.{last_lines(log)}")
            time.sleep(0.1)
    finally:
        client.close()


def _heard(client: Client, began: datetime) -> bool:
    with translated():
        found = client.query(
            "SELECT count() > 0 FROM heartbeats WHERE kind = 'sink' AND sent_at >= {began:DateTime64(6, 'UTC')}",
            parameters={"began": began},
        )
    return bool(found.result_rows[0][0])


def prepare(endpoints: Endpoints) -> None:
    """Create the topics and the tables, and register the schemas where the stack has a registry; safe to repeat."""
    found = sources(endpoints)
    kafka = KafkaSettings.load(found)
    apply_topics(kafka, LOCAL_PARTITIONS)
    migrate(ClickHouseSettings.load(found))
    schemas = registry(found)
    if schemas is not None:
        schemas.push_all(kafka.topic_prefix)
