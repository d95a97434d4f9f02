"""Keeps what the topic `runs` says of each run and stream, and its newest episodes in figures. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbus.kafka.model import StreamId

#: Of the newest episodes of a run: their mean is shown, and their course as a small line.
_RETURNS = 256
_SPARK = 32
_MINUTE_S = 60.0


@dataclass(slots=True)
class StreamFacts:
    """What RunEvents say of a stream; see run_event.avsc. Times are microseconds since the epoch."""

    started_at: int = 0
    finished_at: int = 0
    outcome: str = ""
    error: str = ""
    produced: int = 0
    dropped: int = 0
    recorder: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    config: str = "{}"
    role: str = ""

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> StreamFacts:
        """Return the facts of a decoded event; one of FINISHED repeats all that STARTED said."""
        finished = event["kind"] == "FINISHED"
        return cls(
            started_at=event["started_at"],
            finished_at=event["sent_at"] if finished else 0,
            outcome=event["outcome"] if finished else "",
            error=event["error"],
            produced=event["produced"],
            dropped=event["dropped"],
            recorder=f"recorder-{event['host']}-{event['pid']}",
            labels=event["labels"],
            tags=tuple(event["tags"]),
            config=event["config"],
            role=event["role"],
        )


class Returns:
    """The newest episodes of one run, in figures."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=_RETURNS)
        self._ended: deque[float] = deque()
        self.missing = 0

    def add(self, return_: float, missing: int, now: float) -> None:
        """An episode was finalised now; so many steps of it are missing."""
        self._newest.append(return_)
        self._ended.append(now)
        self.missing += missing

    def per_minute(self, now: float) -> int:
        """Return how many ended within the last minute."""
        while self._ended and now - self._ended[0] > _MINUTE_S:
            self._ended.popleft()
        return len(self._ended)

    @property
    def mean(self) -> float | None:
        """The mean return of the newest episodes; None = none is known."""
        return sum(self._newest) / len(self._newest) if self._newest else None

    def course(self) -> list[float]:
        """Return the means of consecutive episodes, at most 32, the oldest first."""
        size = max(1, -(-len(self._newest) // _SPARK))
        values = list(self._newest)
        parts = [values[at : at + size] for at in range(0, len(values), size)]
        return [sum(part) / len(part) for part in parts]


@dataclass(slots=True)
class RunFacts:
    """One run: its streams, by agent and attempt."""

    streams: dict[StreamId, StreamFacts] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    returns: Returns = field(default_factory=Returns)

    def take(self, stream: StreamId, facts: StreamFacts) -> None:
        """Take what an event says of a stream; what came before a FINISHED event changes nothing behind it."""
        known = self.streams.get(stream)
        if known is None or not known.finished_at or facts.finished_at:
            self.streams[stream] = facts
        self.newest[stream.agent_id] = max(stream.attempt, self.newest.get(stream.agent_id, 0))

    def current(self) -> Iterator[tuple[StreamId, StreamFacts]]:
        """Yield the newest stream of each agent."""
        return ((at, facts) for at, facts in self.streams.items() if self.newest[at.agent_id] == at.attempt)

    @property
    def ended(self) -> bool:
        """Whether the newest stream of each agent said its end."""
        return all(facts.finished_at for _, facts in self.current())
