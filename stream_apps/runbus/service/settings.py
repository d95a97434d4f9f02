"""Reads what the host of every process is told; a process with settings of its own has them in a class of its own."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """What a process without further settings is told. Fields are described in runbus.config.catalogue."""

    kafka: KafkaSettings
    instance_id: str = ""
    probes_address: str = of(c.PROBES_ADDRESS)
    ready_lag_seconds: float = of(c.READY_LAG_SECONDS)

    @classmethod
    def load(cls, sources: Sources) -> ProcessSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        return load(cls, sources, kafka=KafkaSettings.load(sources))
