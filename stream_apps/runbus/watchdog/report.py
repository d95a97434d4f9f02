"""Defines what the watchdog says, and writes it as JSON: the detail of its heartbeats, what `runbus watch` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runbus.watchdog.alarms import Lasting
from runbus.watchdog.findings import State
from runbus.watchdog.groups import GroupView
from runbus.watchdog.round_trips import Trip

#: A heartbeat stays a small record.
_MOST_FINDINGS = 30
_MOST_GROUPS = 30
_MOST_TEXT = 400


@dataclass(frozen=True, slots=True)
class Report:
    """How everything stands.

    Attributes:
        findings: what is wrong, the worst first.
        groups: each consumer group in short.
        trips: the ways of the canary; none if it is switched off.
        processes: how many of each kind live.
        canary: `run/agent` of the canary; empty = it is switched off.
    """

    findings: tuple[Lasting, ...] = ()
    groups: tuple[GroupView, ...] = ()
    trips: tuple[Trip, ...] = ()
    processes: Mapping[str, int] = field(default_factory=dict)
    canary: str = ""

    @property
    def state(self) -> State:
        """The worst of all findings."""
        return max((one.finding.state for one in self.findings), default=State.OK)

    @property
    def alarms(self) -> int:
        """How many findings are alarms."""
        return sum(one.alarm for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it; states by their names, times in whole milliseconds."""
        return {
            "state": self.state.name,
            "alarms": self.alarms,
            "processes": dict(self.processes),
            "groups": [asdict(view) | {"state": view.state.name} for view in self.groups[:_MOST_GROUPS]],
            "more_groups": max(0, len(self.groups) - _MOST_GROUPS),
            "canary": {"stream": self.canary, "ways": [_trip(trip) for trip in self.trips]},
            "findings": [finding_json(one) for one in self.findings[:_MOST_FINDINGS]],
            "more_findings": max(0, len(self.findings) - _MOST_FINDINGS),
        }


def finding_json(one: Lasting) -> dict[str, Any]:
    """Return one finding as JSON has it."""
    finding = one.finding
    return {
        "subject": finding.subject,
        "what": finding.what,
        "state": finding.state.name,
        "alarm": one.alarm,
        "since_ms": _ms(one.since_s),
        "text": finding.text[:_MOST_TEXT],
        "todo": finding.todo,
    }


def _trip(trip: Trip) -> dict[str, Any]:
    return {
        "way": trip.way,
        "latency_ms": None if trip.latency_s is None else _ms(trip.latency_s),
        "waiting_ms": _ms(trip.waiting_s),
        "came_back": trip.came_back,
    }


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
