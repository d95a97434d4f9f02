"""Reads the settings that the host needs of every process; a process with more settings has a class of its own."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """The settings of a process that has no others. Fields are described in runbus.config.catalogue."""

    kafka: KafkaSettings
    instance_id: str = ""
    probes_address: str = of(c.PROBES_ADDRESS)
    ready_lag_seconds: float = of(c.READY_LAG_SECONDS)

    @classmethod
    def load(cls, sources: Sources) -> ProcessSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        return load(cls, sources, kafka=KafkaSettings.load(sources))
