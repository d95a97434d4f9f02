"""Reads the settings of a sink process, RUNBUS_SINK_* among them."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbus.config import catalogue as c
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.kafka.dead_letter_rate import DeadLetterLimits
from runbus.kafka.settings import KafkaSettings, Membership
from runbus.sink.ranges import RangeLimits


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """Settings of one sink process, described in runbus.config.catalogue."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    group: str
    group_protocol: c.GroupProtocol = of(c.SINK_GROUP_PROTOCOL)
    instance_id: str = of(c.SINK_INSTANCE_ID)
    session_seconds: float = of(c.SINK_SESSION_SECONDS)
    limits: RangeLimits = field(default_factory=RangeLimits)
    dead_letter_limits: DeadLetterLimits = field(default_factory=DeadLetterLimits)
    parallel_inserts: int = of(c.SINK_PARALLEL_INSERTS)
    insert_seconds: int = of(c.SINK_INSERT_SECONDS)
    skip_lost: bool = False
    grace_seconds: float = of(c.SINK_GRACE_SECONDS)
    probes_address: str = of(c.PROBES_ADDRESS)
    ready_lag_seconds: float = of(c.READY_LAG_SECONDS)

    @property
    def membership(self) -> Membership:
        """Its name and protocol in the group."""
        return Membership(self.group, self.group_protocol, self.session_seconds, self.instance_id)

    @classmethod
    def load(cls, sources: Sources) -> SinkSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        kafka = KafkaSettings.load(sources)
        return load(
            cls,
            sources,
            kafka=kafka,
            clickhouse=ClickHouseSettings.load(sources),
            group=sources.get(c.SINK_GROUP) or f"{kafka.topic_prefix}sink",
            limits=load(RangeLimits, sources),
            dead_letter_limits=load(DeadLetterLimits, sources),
            skip_lost=sources.get(c.SINK_LOST_RANGE) == "continue",
        )
