"""What a stream app is told: the RUNBUS_STREAMS_* settings, read once."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings


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
            session_seconds=sources.number(c.STREAMS_SESSION_SECONDS, 1, 1800),
            commit_seconds=sources.number(c.STREAMS_COMMIT_SECONDS, 0.01, 60) if given else None,
            batch_records=int(sources.number(c.STREAMS_BATCH_RECORDS, 1, 100_000)),
            grace_seconds=sources.number(c.STREAMS_GRACE_SECONDS, 0, 600),
            probes_address=sources.text(c.PROBES_ADDRESS),
            ready_lag_seconds=sources.number(c.READY_LAG_SECONDS, 0.1, 86_400),
        )
