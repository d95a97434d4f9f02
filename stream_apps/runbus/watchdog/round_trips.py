"""Follows the steps of the canary on each way that they take, and measures how long each took. Pure: time is given."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

#: The ways of a step: to a LiveMetrics event, to an EpisodeFinalized event, to a row of ClickHouse.
Way = Literal["live-metrics", "episodes", "sink"]
WAYS: tuple[Way, ...] = get_args(Way)
_MOST = 1000  # rounds under way that are remembered: what is older is late anyway


@dataclass(frozen=True, slots=True)
class Trip:
    """One way as it stands now.

    Attributes:
        way: named by the process that is responsible for it.
        latency_s: of the newest step that came back; None = none did yet.
        waiting_s: how long the oldest step that is not back is on its way; 0.0 = none is.
        came_back: how many did.
    """

    way: Way
    latency_s: float | None
    waiting_s: float
    came_back: int


class RoundTrips:
    """The rounds that were sent, numbered from 1, and those that came back."""

    def __init__(self) -> None:
        self._waiting: dict[Way, deque[tuple[int, float]]] = {way: deque(maxlen=_MOST) for way in WAYS}
        self._latency: dict[Way, float] = {}
        self._back: dict[Way, int] = dict.fromkeys(WAYS, 0)
        self.sent = 0

    def send(self, now: float) -> int:
        """Begin a round; return its number."""
        self.sent += 1
        for waiting in self._waiting.values():
            waiting.append((self.sent, now))
        return self.sent

    def came_back(self, way: Way, number: int, now: float) -> None:
        """Round `number`, and every one before it, was seen at the end of a way."""
        waiting = self._waiting[way]
        while waiting and waiting[0][0] <= number:
            newest, sent_at = waiting.popleft()
            self._back[way] += 1
            if newest == number:
                self._latency[way] = now - sent_at

    def waits(self, way: Way) -> bool:
        """Return whether a step is on this way."""
        return bool(self._waiting[way])

    def trips(self, now: float) -> tuple[Trip, ...]:
        """Return each way as it stands now."""
        return tuple(Trip(way, self._latency.get(way), self._oldest(way, now), self._back[way]) for way in WAYS)

    def _oldest(self, way: Way, now: float) -> float:
        waiting = self._waiting[way]
        return now - waiting[0][1] if waiting else 0.0
