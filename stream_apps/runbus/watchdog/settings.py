"""Reads the settings of the watchdog, RUNBUS_WATCHDOG_* among them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from runbus.config import catalogue as c
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.loading import load
from runbus.config.secret import Secret
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.cursors.own_groups import Names
from runbus.kafka.principals import ResourceNames
from runbus.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class WatchdogSettings:
    """Settings of one watchdog, described in runbus.config.catalogue; `names` of what it watches."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    names: Names
    instance_id: str = ""
    canary_seconds: float = of(c.WATCHDOG_CANARY_SECONDS)
    patience_seconds: float = of(c.WATCHDOG_PATIENCE_SECONDS)
    webhook_url: Secret = of(c.WATCHDOG_WEBHOOK_URL)
    probes_address: str = of(c.PROBES_ADDRESS)
    ready_lag_seconds: float = of(c.READY_LAG_SECONDS)

    @classmethod
    def load(cls, sources: Sources) -> WatchdogSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        kafka = KafkaSettings.load(sources)
        names = Names(kafka.topic_prefix, ResourceNames(kafka.topic_prefix, sources.get(c.SINK_GROUP)).sink_group)
        settings = load(cls, sources, kafka=kafka, clickhouse=ClickHouseSettings.load(sources), names=names)
        _check(settings.webhook_url)
        return settings


def _check(url: Secret) -> None:
    if not url:
        return
    parts = urlsplit(url.reveal())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{c.WATCHDOG_WEBHOOK_URL.env} is no URL of http or https")
