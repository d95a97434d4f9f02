"""Lists the processes on the engines of a local stack, and makes what they need: topics, tables, schemas."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import translated
from runbus.clickhouse.migrate import migrate
from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.config.sources import Sources, read_sources
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.process import last_lines
from runbus.local.stack import Endpoints, Plan, StackProcess
from runbus.schemas.registry import registry

#: Enough that several consumers can share a topic; few enough for one small machine.
LOCAL_PARTITIONS = 4

#: An app is ready in 2-5 s; on a machine that is busy with other things (load 80 on two cores) a minute was too short.
_START_S = 120.0


def _app(name: str, **environment: str) -> StackProcess:
    """Return a command as an app; its log says on which port its probes are."""
    return StackProcess(
        name, (sys.executable, "-m", "runbus.cli", name), {"RUNBUS_PROBES_ADDRESS": "127.0.0.1:0", **environment}
    )


SINK = _app("sink")
#: One worker of each; a fixed instance id, so that a restart after a crash takes over at once.
EPISODES = _app("episodes", RUNBUS_STREAMS_INSTANCE_ID="episodes-local")
LIVE_METRICS = _app("live-metrics", RUNBUS_STREAMS_INSTANCE_ID="live-metrics-local")
WATCHDOG = _app("watchdog")
#: Its address is in the configuration file of the stack.
DASHBOARD = replace(_app("dashboard"), reads_only=True)
APPS: tuple[StackProcess, ...] = (SINK, EPISODES, LIVE_METRICS, WATCHDOG, DASHBOARD)


def sources(endpoints: Endpoints) -> Sources:
    """Return the settings of a running local stack, whatever the environment names."""
    return read_sources(environ={CONFIG_FILE_ENV: str(endpoints.config_file)})


def stack_plan(awaited: Sequence[StackProcess] = APPS, report: OnProgress = unseen) -> Plan:
    """Return the start of everything, from now; it succeeds once each of `awaited` works."""
    began = datetime.now(UTC)
    return Plan(APPS, prepare, lambda endpoints: wait_for_apps(endpoints, began, awaited, report), report)


def wait_for_apps(
    endpoints: Endpoints, began: datetime, apps: Sequence[StackProcess] = APPS, report: OnProgress = unseen
) -> None:
    """Return once a heartbeat that each app sent after `began` (UTC) is stored: the whole path works.

    Raises RunBusError, naming the log, if that takes longer than a start should.
    """
    settings = ClickHouseSettings.load(sources(endpoints))
    deadline = Deadline.after(_START_S, time.monotonic())
    names = {app.name for app in apps}
    client = connect(settings)
    try:
        while missing := names - _reported(_kinds_since(client, began) & names, report):
            if deadline.passed(time.monotonic()):
                name = SINK.name if SINK.name in missing else min(missing)  # without the sink no heartbeat is stored
                log = endpoints.config_file.parent / "logs" / f"{name}.log"
                raise RunBusError(f"{name} sent no heartbeat within {_START_S:.0f} s.{last_lines(log)}")
            time.sleep(0.1)
    finally:
        client.close()


def _reported(ready: set[str], report: OnProgress) -> set[str]:
    for name in sorted(ready):
        report(name, 1, 1)
    return ready


def _kinds_since(client: Client, began: datetime) -> set[str]:
    with translated():
        found = client.query(
            "SELECT DISTINCT kind FROM heartbeats WHERE sent_at >= {began:DateTime64(6, 'UTC')}",
            parameters={"began": began},
        )
    return {str(kind) for (kind,) in found.result_rows}


def prepare(endpoints: Endpoints) -> None:
    """Create the topics and the tables, and register the schemas if the stack has a registry; safe to repeat."""
    found = sources(endpoints)
    kafka = KafkaSettings.load(found)
    apply_topics(kafka, LOCAL_PARTITIONS)
    migrate(ClickHouseSettings.load(found))
    schemas = registry(found)
    if schemas is not None:
        schemas.push_all(kafka.topic_prefix)
