"""Decides whether a process is ready, and whether it lives: one rule for all of them, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a process now. The heartbeat has all fields, readiness depends on those up to `stopping`.

    Attributes:
        joined: the group gave it its partitions at least once and takes none away now. No partition is an answer too: a
            spare worker is ready.
        waits_for: what it needs and does not have, in words; empty = nothing.
        recovering: owned partitions that are still read back.
        paused: owned partitions that wait for a person to mend something, and why.
        lag_ms: age of the oldest event that is not done.
        lag_events: number of events that are not done.
        silent_seconds: since its loop turned last; it turns also if there is nothing to do.
        stopping: it was asked to end.
        total_events: taken since it started.
        dropped_events: not taken, or given up.
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
    """Limits of readiness and of life.

    Attributes:
        lag_seconds: a process that is further behind is not ready.
        silent_seconds: one whose loop has not turned for so long hangs. Longer than any request that the loop waits
            for (10 s each, some in a row while partitions change owners), so that a broker that is away is no reason to
            kill the process: a new one would meet the same broker.
    """

    lag_seconds: float = 30.0
    silent_seconds: float = 120.0


def stuck(now: Health, limits: Limits) -> str:
    """Return why the process does not live any more; empty = it does. Nothing outside of the process counts."""
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
