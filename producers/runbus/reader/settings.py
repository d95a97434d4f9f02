"""Reads the reader's own settings, and joins them with what its user asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from runbus.config import catalogue as c
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.kafka.principals import READERS
from runbus.kafka.settings import KafkaSettings, Membership
from runbus.schemas.codec import Codec
from runbus.schemas.registry import codec


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """The broker that a reader reads from, and its bounds.

    Attributes:
        buffer_bytes: memory for records that were fetched and not handed out; past it nothing more is fetched.
        session_seconds: how long a name waits for a process that was killed, before its partitions go to another.
        make_codec: called in the process that reads, at its first record.
    """

    kafka: KafkaSettings
    buffer_bytes: int = of(c.READER_BUFFER_MB)
    session_seconds: float = of(c.READER_SESSION_SECONDS)
    make_codec: Callable[[], Codec] = field(default=Codec, compare=False)

    @classmethod
    def load(cls, sources: Sources, kafka: KafkaSettings | None = None) -> ReaderSettings:
        """Read and check the settings; `kafka` wins over the sources. Raises ConfigError."""
        return load(cls, sources, kafka=kafka or KafkaSettings.load(sources), make_codec=partial(codec, sources))

    def membership(self, name: str | None, instance: str) -> Membership:
        """Return the membership of a reader; without a name, one that never joins.

        The classic protocol: under KIP-848 the broker says how long a silent member keeps its partitions (45 s), and a
        reader that was killed and starts again would wait for that.
        """
        group = f"{self.kafka.topic_prefix}{READERS}{name or ''}"
        return Membership(group, "classic", self.session_seconds, instance)
