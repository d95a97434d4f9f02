"""Judges processes and recorders by their heartbeats: who fell silent without saying its end. Pure: time is given.

Silence is counted on a clock that only runs while the watchdog's own heartbeats come back from the log: a broker that
is away, and a watchdog that was stopped itself, make nobody silent. All heartbeats are in one partition, so an own one
that was read is behind everything that the others had sent before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from runbus.schemas.events import Heartbeat, RunEvent
from runbus.watchdog.findings import State, WatchFinding

RECORDER = "recorder"
#: An own heartbeat is sent every second; past this the log of heartbeats does not flow.
_FLOWS_S = 1.6
#: Two heartbeats in a row that did not come.
_SILENT_S = 2.2
#: An own one did come that much later than the last one: else the log has just ceased to flow.
_BEHIND_S = 1.2
# A silence is an alarm once it is so long: an interpreter that is busy, in a library of the agent say, is silent too.
_RECORDER_HOLD_S = 15.0
_PROCESS_HOLD_S = 7.0
#: What is silent for so long is history, and no longer a finding: `runbus run ls` has the runs that never ended.
_FORGET_S = 600.0
#: Drops are shown for so long after the last one.
_DROPS_S = 30.0


@dataclass(slots=True)
class _Component:
    """One process or recorder, as its last heartbeat says."""

    kind: str
    started_at: int
    sent_at: int
    heard: float
    stopping: bool = False
    dropped: int = 0
    dropped_at: float = float("-inf")
    owned: frozenset[str] = frozenset()
    streams: set[str] = field(default_factory=set)
    says: tuple[str, ...] = ()


class Components:
    """All components that sent a heartbeat lately.

    Args:
        own: the component id of the watchdog itself.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        self._known: dict[str, _Component] = {}
        self._finished: dict[str, float] = {}
        self._own_at: float | None = None
        self._looked_at: float | None = None
        self._flow = 0.0
        self._own_flow = 0.0

    def beat(self, beat: Heartbeat, now: float) -> None:
        """Take a heartbeat that was read now."""
        if beat.component_id == self._own:
            self._advance(now)
            self._own_at, self._own_flow = now, self._flow
            return
        if beat.kind == "watchdog":
            return  # another one: it is watched by Prometheus, as this one is
        before = self._known.get(beat.component_id)
        if before is not None and beat.sent_at < before.sent_at:
            return
        detail = _detail(beat.detail)
        found = _Component(
            beat.kind,
            beat.started_at,
            beat.sent_at,
            self._flow,
            stopping=bool(detail.get("stopping")),
            dropped=beat.dropped_events,
            owned=frozenset(beat.committed) | frozenset(beat.last_seq_id),
            streams={name for name in _mapping(detail, "streams") if name not in self._finished},
            says=tuple(_says(detail)),
        )
        if before is not None and before.started_at == beat.started_at:
            found.dropped_at = self._flow if beat.dropped_events > before.dropped else before.dropped_at
        self._known[beat.component_id] = found

    def finished(self, event: RunEvent) -> None:
        """Take the end of a stream: its recorder may fall silent now."""
        stream = f"{event.run_id}/{event.agent_id}/{event.attempt}"
        self._finished[stream] = self._flow
        for component in self._known.values():
            component.streams.discard(stream)

    def started(self, event: RunEvent) -> None:
        """Take the beginning of a stream: an agent that records again is not missed for what it recorded before."""
        agent, attempt = f"{event.run_id}/{event.agent_id}/", event.attempt
        for component in self._known.values():
            before = {name for name in component.streams if name.startswith(agent)}
            component.streams -= {name for name in before if int(name.removeprefix(agent)) < attempt}

    def look(self, now: float) -> list[WatchFinding]:
        """Return what is wrong now. Forgets who said its end, who was replaced, and who is silent for long."""
        self._advance(now)
        self._known = {name: one for name, one in self._known.items() if not self._over(name, one)}
        self._finished = {name: at for name, at in self._finished.items() if self._flow - at < _FORGET_S}
        return [finding for name, one in self._known.items() for finding in self._findings(name, one)]

    def lives(self, kind: str, partition: str) -> bool | None:
        """Return whether a process of a kind that has a partition lives; None = no heartbeat names the partition."""
        having = [one for one in self._known.values() if one.kind == kind and partition in one.owned]
        return any(not self._silent(one) for one in having) if having else None

    def says(self, kind: str) -> list[str]:
        """Return what the processes of a kind say that keeps them."""
        return sorted({text for one in self._known.values() if one.kind == kind for text in one.says})

    def counts(self) -> dict[str, int]:
        """Return how many of each kind live."""
        found: dict[str, int] = {}
        for one in self._known.values():
            if not self._silent(one) and not one.stopping:
                found[one.kind] = found.get(one.kind, 0) + 1
        return dict(sorted(found.items()))

    def _advance(self, now: float) -> None:
        if self._looked_at is not None and self._own_at is not None:
            self._flow += max(0.0, min(now, self._own_at + _FLOWS_S) - self._looked_at)
        self._looked_at = now

    def _silent(self, one: _Component) -> bool:
        return self._flow - one.heard >= _SILENT_S and self._own_flow - one.heard >= _BEHIND_S

    def _over(self, name: str, one: _Component) -> bool:
        silence = self._flow - one.heard
        if not self._silent(one):
            return False
        if silence >= _FORGET_S or one.stopping:
            return True
        if one.kind == RECORDER:
            return not one.streams
        return any(
            other.kind == one.kind and other.started_at > one.sent_at
            for id_, other in self._known.items()
            if id_ != name
        )

    def _findings(self, name: str, one: _Component) -> Iterator[WatchFinding]:
        silence = self._flow - one.heard
        if self._silent(one) and one.kind == RECORDER:
            yield WatchFinding(
                name,
                "silent",
                State.STOP,
                f"has been silent for {silence:.0f} s and never said the end of {_some(sorted(one.streams))}",
                "see whether its process was killed: what it had not delivered yet is lost, and `run show` counts it",
                _RECORDER_HOLD_S,
                silence,
            )
        elif self._silent(one):
            yield WatchFinding(
                name,
                "silent",
                State.STOP,
                f"has been silent for {silence:.0f} s and did not say that it stops",
                "see whether it was killed or hangs (its /live and its log), and start it again",
                _PROCESS_HOLD_S,
                silence,
            )
        if self._flow - one.dropped_at < _DROPS_S:
            yield WatchFinding(
                name,
                "drops",
                State.WARN,
                f"drops events: {one.dropped:,} since its start",
                "docs/recorder.md says which queue is full, and what to choose"
                if one.kind == RECORDER
                else "lengthen the retention of the topic: records were deleted before it read them",
            )


def _detail(text: str) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _mapping(detail: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = detail.get(name)
    return found if isinstance(found, dict) else {}


def _says(detail: Mapping[str, object]) -> Iterable[str]:
    for partition, reason in _mapping(detail, "paused").items():
        yield f"{partition} is paused: {reason}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
