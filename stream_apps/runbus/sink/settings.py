"""What the sink is told: the RUNBUS_SINK_* settings, read once."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbus.config import catalogue as c
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.sources import Sources
from runbus.kafka.dead_letter_rate import DeadLetterLimits
from runbus.kafka.settings import GroupProtocol, KafkaSettings, Membership
from runbus.probes import probes_address
from runbus.sink.ranges import RangeLimits


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One sink process. Fields are described in runbus.config.catalogue."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    group: str
    group_protocol: GroupProtocol = "auto"
    instance_id: str = ""
    session_seconds: float = 20.0
    limits: RangeLimits = field(default_factory=RangeLimits)
    poison: DeadLetterLimits = field(default_factory=DeadLetterLimits)
    parallel_inserts: int = 4
    insert_seconds: int = 120
    skip_lost: bool = False
    grace_seconds: float = 8.0
    probes_address: str = ""
    ready_lag_seconds: float = 30.0

    @property
    def membership(self) -> Membership:
        """Who it is in its group."""
        return Membership(self.group, self.group_protocol, self.instance_id, self.session_seconds)

    @classmethod
    def load(cls, sources: Sources) -> SinkSettings:
        """Read and check the settings. Raises ConfigError naming the variable and the bad value."""
        kafka = KafkaSettings.load(sources)
        limits = RangeLimits(
            steps=int(sources.number(c.SINK_RANGE_STEPS, 1, 1_000_000)),
            bytes=int(sources.number(c.SINK_RANGE_MB, 1, 256)) * 1024 * 1024,
            seconds=sources.number(c.SINK_RANGE_SECONDS, 0.01, 3600),
            most_seconds=sources.number(c.SINK_RANGE_SECONDS_MAX, 0.01, 3600),
        )
        poison = DeadLetterLimits(
            run=int(sources.number(c.SINK_DEAD_LETTER_RUN, 0, 1_000_000)),
            share=sources.number(c.SINK_DEAD_LETTER_SHARE, 0, 1),
        )
        return cls(
            kafka=kafka,
            clickhouse=ClickHouseSettings.load(sources),
            group=sources.text(c.SINK_GROUP) or f"{kafka.topic_prefix}sink",
            group_protocol=_group_protocol(sources),
            instance_id=sources.text(c.SINK_INSTANCE_ID),
            session_seconds=sources.number(c.SINK_SESSION_SECONDS, 1, 1800),
            limits=limits,
            poison=poison,
            parallel_inserts=int(sources.number(c.SINK_PARALLEL_INSERTS, 1, 64)),
            insert_seconds=int(sources.number(c.SINK_INSERT_SECONDS, 1, 3600)),
            skip_lost=_choice(sources, c.SINK_LOST_RANGE, ("stop", "continue")) == "continue",
            grace_seconds=sources.number(c.SINK_GRACE_SECONDS, 0, 600),
            probes_address=_probes_address(sources),
            ready_lag_seconds=sources.number(c.READY_LAG_SECONDS, 0.1, 86_400),
        )


def _choice(sources: Sources, setting: c.Setting, choices: tuple[str, ...]) -> str:
    text = sources.text(setting)
    if text not in choices:
        raise ConfigError(f"{setting.env}={text!r} is not one of {', '.join(choices)}")
    return text


def _probes_address(sources: Sources) -> str:
    text = sources.text(c.PROBES_ADDRESS)
    probes_address(text)  # what is no address is said now, not when the broker is there
    return text


def _group_protocol(sources: Sources) -> GroupProtocol:
    match _choice(sources, c.SINK_GROUP_PROTOCOL, ("auto", "consumer", "classic")):
        case "consumer":
            return "consumer"
        case "classic":
            return "classic"
        case _:
            return "auto"
