"""Decides whether a process is ready, and whether it lives: one rule for all of them, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """What a process says of itself now. The heartbeat has all of it, readiness depends on the first part.

    Attributes:
        joined: the group gave it its partitions at least once and they are still its own. None at all is an answer
            too: a spare worker is ready.
        waits_for: what it cannot work without and has not, in words; empty = nothing.
        recovering: owned partitions that are still read back.
        paused: owned partitions that wait for a person to mend something, and why.
        lag_ms: age of the oldest event that is not done.
        lag_events: number of them.
        stopping: it was asked to end.
        silent_seconds: since its loop last turned, whether or not there was something to do.
        total_events: what it took in since it started.
        dropped_events: what it could not take in, or gave up.
        last_seq_id: partition -> the next offset that is not done.
        committed: partition -> the offset that its group committed.
        detail: further counts, as a JSON object.
    """

    joined: bool = False
    waits_for: str = ""
    recovering: Sequence[str] = ()
    paused: Mapping[str, str] = field(default_factory=dict)
    lag_ms: int = 0
    lag_events: int = 0
    silent_seconds: float = 0.0
    stopping: bool = False
    total_events: int = 0
    dropped_events: int = 0
    last_seq_id: Mapping[str, int] = field(default_factory=dict)
    committed: Mapping[str, int] = field(default_factory=dict)
    detail: str = "{}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still good.

    Attributes:
        lag_seconds: a process that is further behind is not ready.
        silent_seconds: one whose loop has not turned for so long hangs. Longer than any request that the loop waits
            for (10 s each, some in a row while partitions change hands), so that a broker that is away is no reason to
            kill the process: a new one would meet the same broker.
    """

    lag_seconds: float = 30.0
    silent_seconds: float = 120.0


def stuck(now: Health, limits: Limits) -> str:
    """Return why the process does not live any more; empty = it does. Nothing outside of it counts."""
    if now.silent_seconds > limits.silent_seconds:
        return f"its loop has not turned for {now.silent_seconds:.0f} s"
    return ""


def reasons(now: Health, limits: Limits) -> list[str]:
    """Return why the process is not ready, one sentence each; empty = it is."""
    found = ["it is stopping"] if now.stopping else []
    found += [reason for reason in (stuck(now, limits),) if reason]
    if now.waits_for:
        found.append(f"waits for {now.waits_for}")
    if not now.joined:
        found.append("the group has given it no partitions yet")
    if now.recovering:
        found.append(f"recovers {', '.join(sorted(now.recovering))}")
    found += [f"{partition} is paused: {why}" for partition, why in sorted(now.paused.items())]
    if now.lag_ms > limits.lag_seconds * 1000:
        found.append(f"{now.lag_ms / 1000:.1f} s behind ({now.lag_events} events), more than {limits.lag_seconds:g} s")
    return found
