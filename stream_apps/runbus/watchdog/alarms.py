"""Remembers since when each finding lasts, and says which ones are alarms. Pure: time is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runbus.watchdog.findings import State, WatchFinding


@dataclass(frozen=True, slots=True)
class Lasting:
    """A finding, and since when.

    Attributes:
        finding: as it is now.
        since_s: how long it has lasted, seconds.
        alarm: it has lasted longer than it may.
    """

    finding: WatchFinding
    since_s: float
    alarm: bool


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """Something that a person may want to hear: a finding is new, has become an alarm, or is over."""

    lasting: Lasting
    word: str

    @property
    def alarms(self) -> bool:
        """Whether it is the beginning or the end of an alarm."""
        return self.lasting.alarm


class Alarms:
    """The findings of the last look, each with its beginning."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}
        self._shown: dict[tuple[str, str], Lasting] = {}

    def look(self, findings: Iterable[WatchFinding], now: float) -> tuple[list[Lasting], list[AlarmChange]]:
        """Return the findings with their age, the worst first, and what has changed since the last look.

        Args:
            findings: all that there are now.
            now: seconds, of one clock that only goes forward.
        """
        found = {finding.key: finding for finding in findings}
        self._since = {key: self._since.get(key, now) for key in found}
        lasting = {key: _lasting(finding, now - self._since[key]) for key, finding in found.items()}
        changes = [AlarmChange(one, word) for key, one in lasting.items() if (word := _word(self._shown.get(key), one))]
        changes += [AlarmChange(one, "over") for key, one in self._shown.items() if key not in lasting]
        self._shown = lasting
        worst_first = sorted(lasting.values(), key=lambda one: (not one.alarm, -one.finding.state, one.finding.key))
        return worst_first, changes


def _lasting(finding: WatchFinding, found_s: float) -> Lasting:
    seconds = found_s if finding.since_s is None else finding.since_s
    return Lasting(finding, seconds, finding.hold_s is not None and seconds >= finding.hold_s)


def _word(before: Lasting | None, now: Lasting) -> str:
    if before is None:
        return "alarm" if now.alarm else "found"
    if now.alarm and not before.alarm:
        return "alarm"
    return "found" if now.finding.state != before.finding.state else ""


def worst(findings: Iterable[WatchFinding]) -> State:
    """Return the worst state of all; OK if there is nothing."""
    return max((finding.state for finding in findings), default=State.OK)
