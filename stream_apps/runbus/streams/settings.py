"""Reads the RUNBUS_STREAMS_* settings, once."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One process of a stream app. Fields are described in runbus.config.catalogue."""

    kafka: KafkaSettings
    instance_id: str = of(c.STREAMS_INSTANCE_ID)
    session_seconds: float = of(c.STREAMS_SESSION_SECONDS)
    commit_seconds: float | None = of(c.STREAMS_COMMIT_SECONDS)
    batch_records: int = of(c.STREAMS_BATCH_RECORDS)
    grace_seconds: float = of(c.STREAMS_GRACE_SECONDS)
    probes_address: str = of(c.PROBES_ADDRESS)
    ready_lag_seconds: float = of(c.READY_LAG_SECONDS)

    @classmethod
    def load(cls, sources: Sources) -> StreamSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        return load(cls, sources, kafka=KafkaSettings.load(sources))
