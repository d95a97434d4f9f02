"""Runs the engines of a benchmark on this machine: those of the local stack, a broker and ClickHouse's engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.config.sources import cache
from runbus.kafka.settings import KafkaSettings
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import running


@contextmanager
def broker(folder: Path) -> Iterator[KafkaSettings]:
    """Run a broker without topics; its log is in `folder / "kafka" / "data"`."""
    options = KafkaOptions(folder / "kafka", free_port(), free_port(), cache())
    with running(kafka_service(options), folder / "kafka.log"):
        yield KafkaSettings(options.bootstrap_servers)


@contextmanager
def engines(folder: Path) -> Iterator[tuple[KafkaSettings, ClickHouseSettings]]:
    """Run a broker, and an engine with the tables."""
    options = ClickHouseOptions(folder / "clickhouse", free_port(), new_password(), new_password())
    with broker(folder) as kafka, running(clickhouse_service(options), folder / "clickhouse.log"):
        settings = ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "bench")
        migrate(settings)
        yield kafka, settings
