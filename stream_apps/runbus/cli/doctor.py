"""Checks each thing that RunBus needs: one function each, which returns what it found or raises what is wrong."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.migrate import status
from runbus.config import catalogue
from runbus.config.catalogue import STREAM_APPS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.config.sources import Sources, home
from runbus.kafka.admin import list_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import STEPS
from runbus.kafka.user_apps import all_topics, user_apps
from runbus.local.java import find_java
from runbus.recorder.journal.folder import journals, orphans
from runbus.schemas.avsc import schema
from runbus.schemas.registry import registry

_SOON = Timeouts(connect=3, answer=10)  # a person waits for the answer
_FRESH_MS = 10_000  # a sink sends a heartbeat every second and stores it within a second or two


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: whether it passed, and what was found or what to do."""

    check: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its function, and the check that must pass before it."""

    look: Callable[[Sources], str]
    needs: str = ""


def diagnose(sources: Sources) -> list[CheckResult]:
    """Run every check; none raises, each takes some seconds at most."""
    checks = {
        "python": Check(_python),
        "java": Check(_java),
        "disk": Check(_disk),
        "configuration": Check(_configuration),
        "broker": Check(_broker, "configuration"),
        "registry": Check(_registry, "configuration"),
        "clickhouse": Check(_clickhouse, "configuration"),
        "migrations": Check(_migrations, "clickhouse"),
        "exactly once": Check(_exactly_once, "migrations"),
        "sink": Check(_sink, "migrations"),
        "journal": Check(_journal, "configuration"),
    }
    results: dict[str, CheckResult] = {}
    for name, check in checks.items():
        needed = results.get(check.needs)
        if needed is not None and not needed.ok:
            results[name] = CheckResult(name, False, f"not checked: mend {check.needs} first")
        else:
            results[name] = _run(name, check.look, sources)
    return list(results.values())


def _run(name: str, look: Callable[[Sources], str], sources: Sources) -> CheckResult:
    try:
        return CheckResult(name, True, look(sources))
    except RunBusError as error:
        return CheckResult(name, False, str(error))


def _python(_: Sources) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _java(_: Sources) -> str:
    return str(find_java())


def _disk(_: Sources) -> str:
    folder = home()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free < 2**30:
        raise RunBusError(
            f"only {free // 2**20} MiB are free at {folder}: free some, or set RUNBUS_HOME to another disk"
        )
    return f"{free / 2**30:.1f} GiB free at {folder}"


def _configuration(sources: Sources) -> str:
    KafkaSettings.load(sources)
    ClickHouseSettings.load(sources)
    return f"read from {sources.file_path}" if sources.file_path else "no file; environment and defaults"


def _broker(sources: Sources) -> str:
    settings = KafkaSettings.load(sources)
    wanted = all_topics(user_apps(sources.get(STREAM_APPS)))
    missing = [s.name for s in list_topics(settings, wanted) if not s.partitions]
    if missing:
        raise RunBusError(f"{settings.bootstrap_servers} has no {', '.join(missing)}: run `runbus topics apply`")
    return f"{settings.bootstrap_servers} has every topic"


def _registry(sources: Sources) -> str:
    found = registry(sources)
    if found is None:
        return "not used: values name the schemas of the package"
    topic = KafkaSettings.load(sources).topic_prefix + STEPS.name
    schema_id = found.id_of(topic, schema("StepBatch"))
    return f"{sources.get(catalogue.REGISTRY_URL)} knows {topic}-value as id {schema_id}"


def _clickhouse(sources: Sources) -> str:
    settings = ClickHouseSettings.load(sources)
    client = connect(settings, database="", timeouts=_SOON)
    try:
        return f"{settings.url} is version {client.server_version}"
    finally:
        client.close()


def _migrations(sources: Sources) -> str:
    settings = ClickHouseSettings.load(sources)
    found = status(settings)
    pending = [m.name for m in found if m.applied_at is None]
    if pending:
        raise RunBusError(f"database {settings.database} lacks {', '.join(pending)}: run `runbus migrate`")
    return f"database {settings.database} has all {len(found)}"


def _exactly_once(sources: Sources) -> str:
    client = connect(ClickHouseSettings.load(sources), timeouts=_SOON)
    try:
        check_deduplication(client)
    finally:
        client.close()
    return "repeated inserts are dropped by every table"


def _sink(sources: Sources) -> str:
    client = connect(ClickHouseSettings.load(sources), timeouts=_SOON)
    try:
        with asking():
            rows = client.query(
                "SELECT component_id, dateDiff('millisecond', sent_at, now64(6, 'UTC')), lag_events FROM heartbeats "
                "WHERE kind = 'sink' ORDER BY sent_at DESC LIMIT 1"
            ).result_rows
    finally:
        client.close()
    if not rows or rows[0][1] > _FRESH_MS:
        age = f"the last heartbeat is {rows[0][1] / 1000:.0f} s old" if rows else "there is no heartbeat"
        raise RunBusError(f"no sink is running ({age}): start `runbus sink`")
    component, age_ms, lag = rows[0]
    return f"{component} sent a heartbeat {age_ms / 1000:.1f} s ago, {lag:,} records behind"


def _journal(sources: Sources) -> str:
    root = sources.get(catalogue.RECORDER_JOURNAL)
    if root is None:
        return "none: an agent that is killed loses what Kafka does not have yet (RUNBUS_RECORDER_JOURNAL)"
    if not root.exists():
        return f"no journal in {root} yet"
    try:
        found = journals(root)
        left = [path.name for path in orphans(root)]
    except OSError as error:
        raise RunBusError(f"the journals in {root} cannot be read: {error.strerror}") from error
    if left:
        raise RunBusError(
            f"{len(left)} journals of dead processes are in {root} ({', '.join(left[:3])}): run `runbus journal flush`"
        )
    return f"{len(found)} journals in {root}, all of living processes"
