"""Reads what the host of every process is told; a process with settings of its own has them in a class of its own."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.kafka import KafkaSettings
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """What a process without further settings is told. Fields are described in runbus.config.catalogue."""

    kafka: KafkaSettings
    instance_id: str = ""
    probes_address: str = ""
    ready_lag_seconds: float = 30.0

    @classmethod
    def load(cls, sources: Sources) -> ProcessSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        return cls(
            kafka=KafkaSettings.load(sources),
            probes_address=sources.text(c.PROBES_ADDRESS),
            ready_lag_seconds=sources.number(c.READY_LAG_SECONDS, 0.1, 86_400),
        )
