"""Reads the recorder's own settings, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from runbus.config import catalogue as c
from runbus.config.loading import load
from runbus.config.setting import of
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.subscription import Policy
from runbus.schemas.codec import Codec
from runbus.schemas.registry import codec


@dataclass(frozen=True, slots=True)
class CourierSettings:
    """The broker that a courier delivers to, and its bounds.

    Attributes:
        queue_bytes: memory for batches that wait for Kafka, in bytes.
        buffer_bytes: memory inside the Kafka client, in bytes.
        policy: what gives way when the queue is full; `block` makes the training loop wait.
        flush_seconds: how long the end of the process waits for the rest.
        make_codec: called in the process that delivers, at its first record.
    """

    kafka: KafkaSettings
    queue_bytes: int = of(c.RECORDER_QUEUE_MB)
    buffer_bytes: int = of(c.RECORDER_BUFFER_MB)
    policy: Policy = of(c.RECORDER_POLICY)
    compression: str = of(c.RECORDER_COMPRESSION)
    flush_seconds: float = of(c.RECORDER_FLUSH_SECONDS)
    make_codec: Callable[[], Codec] = field(default=Codec, compare=False)

    @classmethod
    def load(cls, sources: Sources, kafka: KafkaSettings | None = None) -> CourierSettings:
        """Read and check the settings; `kafka` wins over the sources. Raises ConfigError."""
        return load(cls, sources, kafka=kafka or KafkaSettings.load(sources), make_codec=partial(codec, sources))
