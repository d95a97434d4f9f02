"""Names one installation of RunBus: its log, its tables, and the sink's group."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.codec import Codec


@dataclass(frozen=True, slots=True)
class Installation:
    """The log, its tables, and the sink's group.

    Attributes:
        kafka: the broker of the log.
        clickhouse: the database of the tables.
        codec: of the log's values.
        group: the consumer group of the sink.
    """

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    codec: Codec
    group: str
