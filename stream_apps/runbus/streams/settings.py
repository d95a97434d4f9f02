"""What a stream app is told: the RUNBUS_STREAMS_* settings, read once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.errors import ConfigError
from runbus.config.kafka import KafkaSettings
from runbus.config.sources import Sources


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One process of a stream app. Fields are described in runbus.config.catalogue."""

    kafka: KafkaSettings
    instance_id: str = ""
    session_seconds: float = 20.0
    commit_seconds: float | None = None
    batch_records: int = 200
    grace_seconds: float = 8.0
    probes_address: str = ""
    ready_lag_seconds: float = 30.0

    @classmethod
    def load(cls, sources: Sources) -> StreamSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        given = sources.text(c.STREAMS_COMMIT_SECONDS)
        return cls(
            kafka=KafkaSettings.load(sources),
            instance_id=sources.text(c.STREAMS_INSTANCE_ID),
            session_seconds=number(sources, c.STREAMS_SESSION_SECONDS, 1, 1800),
            commit_seconds=number(sources, c.STREAMS_COMMIT_SECONDS, 0.01, 60) if given else None,
            batch_records=int(number(sources, c.STREAMS_BATCH_RECORDS, 1, 100_000)),
            grace_seconds=number(sources, c.STREAMS_GRACE_SECONDS, 0, 600),
            probes_address=sources.text(c.PROBES_ADDRESS),
            ready_lag_seconds=number(sources, c.READY_LAG_SECONDS, 0.1, 86_400),
        )


def number(sources: Sources, setting: c.Setting, least: float, most: float) -> float:
    """Return a setting as a number. Raises ConfigError if it is none, or outside of `least` to `most`."""
    text = sources.text(setting)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ConfigError(f"{setting.env}={text!r} is not a number from {least:g} to {most:g}")
    return value
