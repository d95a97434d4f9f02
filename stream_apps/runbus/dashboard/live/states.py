"""Says what a stream and a run do now: running, stalled, lost, or how they ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

State = Literal["running", "stalled", "lost", "completed", "failed", "interrupted"]

#: A recorder sends a heartbeat every second: two in a row that did not come.
SILENT_S = 2.2
#: A recorder that lives and records nothing for so long.
STALLED_S = 10.0
#: The first of these that one of its streams is in is the state of a run.
_FIRST: tuple[State, ...] = ("running", "stalled", "lost", "failed", "interrupted", "completed")


def stream_state(outcome: str, silent_s: float, stepless_s: float) -> State:
    """Return the state of one stream.

    Args:
        outcome: what its FINISHED event says, or empty.
        silent_s: for how long its recorder was silent.
        stepless_s: for how long no step of it came.
    """
    if outcome in ("completed", "failed", "interrupted"):
        return outcome  # type: ignore[return-value]  # it is one of them
    if silent_s >= SILENT_S and stepless_s >= SILENT_S:
        return "lost"
    return "stalled" if stepless_s >= STALLED_S else "running"


def run_state(streams: Iterable[State]) -> State:
    """Return the state of a run from those of its newest streams: alive while one of them lives."""
    found = set(streams)
    return next((state for state in _FIRST if state in found), "completed")
