"""The recorder's own settings, read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast, get_args

from runbus.config import catalogue as c
from runbus.config.errors import ConfigError
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.subscription import Policy
from runbus.schemas.codec import Codec
from runbus.schemas.registry import codec

_COMPRESSIONS = ("lz4", "zstd", "none")
_POLICIES = tuple(p for p in get_args(Policy) if p != "conflate")  # steps have no key of which only the newest matters


@dataclass(frozen=True, slots=True)
class CourierSettings:
    """Where the courier delivers, and its bounds.

    Attributes:
        queue_bytes: memory for batches that wait for Kafka, in bytes.
        buffer_bytes: memory inside the Kafka client, in bytes.
        policy: what gives way when the queue is full; `block` makes the training loop wait.
        flush_seconds: how long the end of the process waits for the rest.
        make_codec: called in the process that delivers, at its first record.
    """

    kafka: KafkaSettings
    queue_bytes: int = 64 * 1024 * 1024
    buffer_bytes: int = 32 * 1024 * 1024
    policy: Policy = "drop_oldest"
    compression: str = "lz4"
    flush_seconds: float = 5.0
    make_codec: Callable[[], Codec] = field(default=Codec, compare=False)

    @classmethod
    def load(cls, sources: Sources, kafka: KafkaSettings | None = None) -> CourierSettings:
        """Read and check the settings; `kafka` wins over the sources. Raises ConfigError."""
        return cls(
            kafka=kafka or KafkaSettings.load(sources),
            queue_bytes=_mebibytes(sources, c.RECORDER_QUEUE_MB),
            buffer_bytes=_mebibytes(sources, c.RECORDER_BUFFER_MB),
            policy=cast("Policy", _one_of(sources, c.RECORDER_POLICY, _POLICIES)),
            compression=_one_of(sources, c.RECORDER_COMPRESSION, _COMPRESSIONS),
            flush_seconds=_seconds(sources, c.RECORDER_FLUSH_SECONDS),
            make_codec=partial(codec, sources),
        )


def _one_of(sources: Sources, setting: c.Setting, allowed: tuple[str, ...]) -> str:
    text = sources.text(setting)
    if text not in allowed:
        raise ConfigError(f"{setting.env}={text!r} is not one of {', '.join(allowed)}")
    return text


def _mebibytes(sources: Sources, setting: c.Setting) -> int:
    text = sources.text(setting)
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ConfigError(f"{setting.env}={text!r}: give whole mebibytes, 1 or more, for example {setting.default}")
    return int(text) * 1024 * 1024


def _seconds(sources: Sources, setting: c.Setting) -> float:
    text = sources.text(setting)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ConfigError(f"{setting.env}={text!r}: give seconds, 0 to 3600, for example {setting.default}")
    return seconds
