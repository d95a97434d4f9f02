"""One audit: the sink's cursors, then ClickHouse's rows, then the log (docs/decisions/0004)."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from runbus.audit.letters import letters_under_way
from runbus.audit.log import Dead, LogReader
from runbus.audit.report import Audit, Stored, StreamId, reconcile
from runbus.audit.tables import TopicTables, connected
from runbus.audit.topic import open_topic
from runbus.clickhouse import tables
from runbus.clickhouse.asking import asking
from runbus.clickhouse.queries import query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.kafka import KafkaSettings
from runbus.config.progress import OnProgress, unseen
from runbus.schemas.codec import Codec
from runbus.schemas.topics import DEAD_LETTERS, STEPS


@dataclass(frozen=True, slots=True)
class Sides:
    """Where both sides of the comparison are. `group` is the consumer group of the sink."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    codec: Codec
    group: str


def audit(sides: Sides, run: str | None = None, on_progress: OnProgress = unseen) -> Audit:
    """Compare the log with ClickHouse, for all runs or one; reads the steps topic from end to end.

    Raises:
        BrokerUnavailable, TopicMissing: the log cannot be read.
        StoreError: ClickHouse cannot be asked.
    """
    log = LogReader(sides.kafka, sides.codec, sides.group)
    committed = log.committed(STEPS)
    with connected(sides.clickhouse) as client:
        dead = _dead(sides, client, on_progress)
        on_progress("counting rows in ClickHouse", 0)
        stored = _stored(client, run)
        on_progress("counting rows in ClickHouse", 1, 1)
    logged = log.streams(committed, run, dead, on_progress)
    return reconcile(logged, stored, log.unreadable, log.unreadable_letters)


def _dead(sides: Sides, client: Client, on_progress: OnProgress) -> Dead:
    """Return the records of steps and runs that the sink could not store. Asked before the rows: see `reconcile`."""
    with open_topic(sides.kafka, DEAD_LETTERS, sides.group) as letters:
        under_way = letters_under_way(letters, on_progress)
    found: dict[str, dict[int, set[int]]] = {}
    for stored in (tables.STEPS, tables.RUNS):
        with open_topic(sides.kafka, stored.topic, sides.group) as log:
            topic = TopicTables(client, stored, log.name, log.id)
            buried = {p: topic.dead(p) | under_way.get(log.id, {}).get(p, set()) for p in log.partitions}
            found[stored.topic] = {p: topic.without_rows(p, offsets) for p, offsets in buried.items()}
    return found


def _stored(client: Client, run: str | None) -> dict[StreamId, Stored]:
    with asking():
        rows = client.query(query("audit_streams"), parameters={"run_id": run or ""}).named_results()
        return {
            (r["run_id"], r["agent_id"], r["attempt"]): Stored(
                r["stored"], r["distinct_seq"], r["last_seq"] + 1, r["dropped"]
            )
            for r in rows
        }
