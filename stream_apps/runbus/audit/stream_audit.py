"""Audits streams: reads the committed offsets, then ClickHouse's rows, then the log (docs/decisions/0004)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from clickhouse_connect.driver.client import Client

from runbus.audit.dead_letters import letters_in_flight
from runbus.audit.log import DeadOffsets, LogReader
from runbus.audit.reconciliation import Audit, Stored, reconcile
from runbus.audit.tables import TopicTables
from runbus.clickhouse import tables
from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.queries import QueryName, query
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.model import StreamId
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import DEAD_LETTERS, METRICS, STEPS


def audit(installation: Installation, run: str | None = None, on_progress: OnProgress = unseen) -> Audit:
    """Compare the log with ClickHouse, for all runs or one; reads the topics of steps and metrics from end to end.

    Raises:
        BrokerUnavailable, TopicMissing: the log cannot be read.
        StoreError: ClickHouse cannot be asked.
    """
    log = LogReader(installation.kafka, installation.codec, installation.group)
    committed = {topic.name: log.committed(topic) for topic in (STEPS, METRICS)}
    with closing(connect(installation.clickhouse)) as client:
        dead = _dead(installation, client, on_progress)
        on_progress("counting rows in ClickHouse", 0)
        stored, stored_metrics = _stored(client, "audit_streams", run), _stored(client, "audit_metrics", run)
        on_progress("counting rows in ClickHouse", 1, 1)
    logged = log.streams(committed, run, dead, on_progress)
    found = reconcile(logged.steps, stored, log.unreadable, log.unreadable_letters)
    return replace(found, metrics=reconcile(logged.metrics, stored_metrics))


def _dead(installation: Installation, client: Client, on_progress: OnProgress) -> DeadOffsets:
    """Return the records that the sink could not store. Asked before the rows: see `reconcile`."""
    with open_topic(installation.kafka, DEAD_LETTERS, installation.group) as letters:
        in_flight = letters_in_flight(letters, on_progress)
    found: dict[str, dict[int, set[int]]] = {}
    for stored in (tables.STEPS, tables.METRICS, tables.RUNS):
        with open_topic(installation.kafka, stored.topic, installation.group) as log:
            topic = TopicTables(client, stored, log.name, log.id)
            dead = {p: topic.dead(p) | in_flight.get(log.id, {}).get(p, set()) for p in log.partitions}
            found[stored.topic] = {p: topic.without_rows(p, offsets) for p, offsets in dead.items()}
    return found


def _stored(client: Client, name: QueryName, run: str | None) -> dict[StreamId, Stored]:
    with asking():
        rows = client.query(query(name), parameters={"run_id": run or ""}).named_results()
        return {
            StreamId(r["run_id"], r["agent_id"], r["attempt"]): Stored(
                r["stored"], r["distinct_seq"], r["last_seq"] + 1, r["dropped"]
            )
            for r in rows
        }
