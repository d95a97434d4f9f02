"""One audit: the sink's cursors, then ClickHouse's rows, then the log (docs/decisions/0004)."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.audit.log import LogReader
from runbus.audit.report import Audit, Stored, StreamId, reconcile
from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import translated
from runbus.clickhouse.queries import query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.kafka import KafkaSettings
from runbus.schemas.codec import Codec
from runbus.schemas.topics import STEPS


@dataclass(frozen=True, slots=True)
class Sides:
    """Where both sides of the comparison are. `group` is the consumer group of the sink."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    codec: Codec
    group: str


def audit(sides: Sides, run: str | None = None) -> Audit:
    """Compare the log with ClickHouse, for all runs or one; reads the steps topic from end to end.

    Raises:
        BrokerUnavailable, TopicMissing: the log cannot be read.
        StoreError: ClickHouse cannot be asked.
    """
    log = LogReader(sides.kafka, sides.codec, sides.group)
    committed = log.committed(STEPS)
    stored = _stored(sides.clickhouse, run)
    logged = log.streams(committed, run)
    return reconcile(logged, stored, log.unreadable)


def _stored(settings: ClickHouseSettings, run: str | None) -> dict[StreamId, Stored]:
    client = connect(settings)
    try:
        with translated():
            rows = client.query(query("audit_streams"), parameters={"run_id": run or ""}).named_results()
            return {
                (r["run_id"], r["agent_id"], r["attempt"]): Stored(
                    r["stored"], r["distinct_seq"], r["last_seq"] + 1, r["dropped"]
                )
                for r in rows
            }
    finally:
        client.close()
