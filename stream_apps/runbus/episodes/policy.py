"""Limits how long the finaliser waits, and how much it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.config import catalogue as c
from runbus.config.setting import of

#: Envs of one stream: rows of a higher index are refused, because an index costs memory.
MAX_ENVS = 65_536
#: A FINISHED event counts this long after it was appended: brokers' clocks differ.
CLOCK_SLACK_MS = 1000


@dataclass(frozen=True, slots=True)
class FinaliserPolicy:
    """Durations in milliseconds of stream time.

    Attributes:
        idle_ms: an open episode without a row for this long is abandoned.
        grace_ms: late steps are taken this long after their episode was finalised; and the stream of an older attempt
            must be silent this long before its episodes are interrupted.
        remember_ms: a stream without an open episode that was silent this long is forgotten.
        max_late: finalised episodes per stream that can still gain rows.
        max_finished: FINISHED events that are remembered.
    """

    idle_ms: int = of(c.EPISODES_IDLE_SECONDS)
    grace_ms: int = of(c.EPISODES_GRACE_SECONDS)
    remember_ms: int = of(c.EPISODES_REMEMBER_HOURS)
    max_late: int = 4096
    max_finished: int = 100_000

    def __post_init__(self) -> None:
        """Raise ValueError if a value is below 1; the grace may be 0."""
        for name in self.__slots__:
            least = 0 if name == "grace_ms" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")
