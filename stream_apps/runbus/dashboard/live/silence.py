"""Counts for how long components are silent, on a clock that only runs while heartbeats flow. Pure: time is given.

A broker that is away, and a dashboard that was stopped itself, make nobody silent. All heartbeats are in one
partition, so the dashboard's own, which comes every second, stands behind everything that others had sent before it.
"""

from __future__ import annotations

#: Without any heartbeat for so long, the log does not flow.
_FLOWS_S = 1.6


class Silence:
    """When each component was last heard."""

    def __init__(self) -> None:
        self._flow = 0.0
        self._heard: dict[str, float] = {}
        self._newest: float | None = None
        self._looked = 0.0

    def hear(self, component_id: str, now: float, age_s: float = 0.0) -> None:
        """A heartbeat was read now that was sent `age_s` ago; what is read late at a start was silent since then."""
        self._advance(now)
        self._newest = now
        self._heard[component_id] = self._flow - age_s

    def seconds(self, component_id: str, now: float) -> float:
        """Return for how long a component was silent; one that was never heard is silent for ever."""
        self._advance(now)
        heard = self._heard.get(component_id)
        return float("inf") if heard is None else max(0.0, self._flow - heard)

    def behind(self, now: float) -> float:
        """Return for how long no heartbeat at all was read."""
        return float("inf") if self._newest is None else max(0.0, now - self._newest)

    def _advance(self, now: float) -> None:
        if self._newest is not None:
            self._flow += max(0.0, min(now, self._newest + _FLOWS_S) - self._looked)
        self._looked = max(self._looked, now)
