"""Judges consumer groups: each partition by its window, then the group by its partitions. Pure: time is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from runbus.cursors.own_groups import Kind
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.kafka.groups import MISSING
from runbus.kafka.model import TopicPartition
from runbus.watchdog.alarms import worst
from runbus.watchdog.findings import State, WatchFinding
from runbus.watchdog.positions import PositionWindow, Rules, Standing

#: Says whether a process of a kind lives that has a partition; None = nobody knows one.
Lives = Callable[[str, str], bool | None]
_SETTLED = ("stable", "empty")
_SHOWN = 3  # partitions that a sentence names
# Who falls behind in a burst and has read everything a moment later is no finding.
_BEHIND_MS = 3_000


@dataclass(frozen=True, slots=True)
class Look:
    """What the broker says of some groups, now.

    Attributes:
        at: seconds, of one clock that only goes forward.
        now_ms: the time of day, milliseconds since the epoch.
        groups: as the broker has them.
    """

    at: float
    now_ms: int
    groups: tuple[GroupCursors, ...]


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group in short.

    Attributes:
        group, kind: its name, and what it is to the installation.
        state: the worst of its findings.
        status: as its coordinator says.
        members: how many it has.
        partitions, owned: that it reads, and those of them that a member has.
        lag_events, lag_ms: what is left to read, and the age of the oldest of it.
    """

    group: str
    kind: Kind
    state: State
    status: str
    members: int
    partitions: int
    owned: int
    lag_events: int
    lag_ms: int


class GroupWatch:
    """Remembers where groups stood.

    Args:
        patience_s: for so long what a restart also causes is no alarm.
        rules: of each partition; they go with how often is looked.
    """

    def __init__(self, patience_s: float, rules: Rules | None = None) -> None:
        self._patience_s = patience_s
        self._rules = rules or Rules()
        self._windows: dict[tuple[str, TopicPartition], PositionWindow] = {}
        self._beginnings: dict[TopicPartition, _Beginning] = {}

    def look(self, look: Look, lives: Lives) -> tuple[list[GroupView], list[WatchFinding]]:
        """Take what the broker says now; return each group in short, and what is wrong with them."""
        views, findings = list[GroupView](), list[WatchFinding]()
        for cursor in (cursor for group in look.groups for cursor in group.cursors):
            self._beginnings.setdefault(cursor.at, _Beginning(cursor.beginning)).move(cursor.beginning)
        for group in look.groups:
            if group.group.state == MISSING and not group.committed:
                continue  # nobody has begun to run it here
            found = list(self._findings(group, look, lives))
            findings += found
            views.append(_view(group, found, look.now_ms))
        return views, findings

    def forget(self) -> None:
        """Take the next look as the first one: nobody saw what happened meanwhile."""
        for window in self._windows.values():
            window.forget()

    def _findings(self, group: GroupCursors, look: Look, lives: Lives) -> Iterator[WatchFinding]:
        states = {cursor: self._state(group, cursor, look.at, lives) for cursor in group.cursors}
        own = group.kind != "user"
        subject, patience = f"group {group.group.name}", self._patience_s if own else None
        at_once = 0.0 if own else None
        if unowned := _unowned(group):
            yield _no_owner(subject, unowned, patience)
        still = [c for c, state in states.items() if state in (State.STALL, State.STOP) and c not in unowned]
        if still:
            yield _still(subject, still, max(states[c] for c in still), look.now_ms, patience)
        if back := [cursor for cursor, state in states.items() if state is State.REWIND]:
            yield WatchFinding(
                subject,
                "rewind",
                State.REWIND,
                f"went back in {_names(back)}",
                "a reset does that; else find out who commits under its name",
                at_once,
            )
        if behind := [c for c, s in states.items() if s is State.WARN and c.lag(look.now_ms).milliseconds > _BEHIND_MS]:
            yield WatchFinding(
                subject,
                "behind",
                State.WARN,
                f"falls behind in {_names(behind)}: {sum(c.lag(look.now_ms).events for c in behind):,} are left",
                "start more of its processes, up to the partitions; or what it writes to is slow",
            )
        if deleted := [cursor for cursor in group.cursors if cursor.deleted]:
            yield WatchFinding(
                subject,
                "deleted",
                State.WARN,
                f"lost {sum(cursor.deleted for cursor in deleted):,} records of {_names(deleted)}: deleted unread",
                "lengthen the retention of the topic, then find out why it was behind",
                at_once,
            )
        if danger := [cursor for cursor in group.cursors if self._in_danger(cursor, look.now_ms)]:
            yield WatchFinding(
                subject,
                "retention",
                State.WARN,
                f"is about to lose records of {_names(danger)} to retention",
                "lengthen retention.ms (or retention.bytes) of the topic now, and let the group catch up",
                at_once,
            )

    def _state(self, group: GroupCursors, cursor: Cursor, at: float, lives: Lives) -> State:
        window = self._windows.setdefault((group.group.name, cursor.at), PositionWindow(self._rules))
        end = cursor.position if cursor.next_ms is None else cursor.end  # what cannot be read is not left
        window.add(Standing(at, cursor.position, end))
        known = lives(group.kind, str(cursor.at))
        return window.state(lives=group.owner(cursor) is not None if known is None else known)

    def _in_danger(self, cursor: Cursor, now_ms: int) -> bool:
        if cursor.next_ms is None or cursor.deleted:
            return False
        return cursor.in_danger(now_ms) or self._beginnings[cursor.at].reaches(cursor.position)


@dataclass(slots=True)
class _Beginning:
    """Where the log of a partition begins, and how many offsets its last deletion took: the next takes as many."""

    offset: int
    step: int = 0

    def move(self, offset: int) -> None:
        if offset > self.offset:
            self.step = offset - self.offset
        self.offset = offset

    def reaches(self, position: int) -> bool:
        return self.step > 0 and position < self.offset + self.step


def _unowned(group: GroupCursors) -> list[Cursor]:
    """Return the partitions of a group of the installation that no member has; while it rebalances nobody has one."""
    if group.kind == "user" or group.group.state not in (*_SETTLED, MISSING):
        return []
    return [cursor for cursor in group.cursors if group.owner(cursor) is None]


def _no_owner(subject: str, unowned: Sequence[Cursor], hold_s: float | None) -> WatchFinding:
    return WatchFinding(
        subject,
        "no owner",
        State.STOP,
        f"nobody reads {_names(unowned)}",
        "start its process; `runbus status`, or the platform, says whether it runs",
        hold_s,
    )


def _still(subject: str, still: Sequence[Cursor], state: State, now_ms: int, hold_s: float | None) -> WatchFinding:
    age = max(cursor.lag(now_ms).milliseconds for cursor in still)
    lives = "lives and does not move" if state is State.STALL else "does not move, and who reads there does not live"
    todo = (
        "its log and /ready say what it waits for: ClickHouse, a person, the registry"
        if state is State.STALL
        else "look at its process, and start it again"
    )
    return WatchFinding(
        subject, "still", state, f"{lives} in {_names(still)}; what is next is {age / 1000:.1f} s old", todo, hold_s
    )


def _names(cursors: Iterable[Cursor]) -> str:
    names = [str(cursor.at) for cursor in cursors]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _view(group: GroupCursors, findings: Sequence[WatchFinding], now_ms: int) -> GroupView:
    lag, one = group.lag(now_ms), group.group
    owned = sum(group.owner(cursor) is not None for cursor in group.cursors)
    return GroupView(
        one.name,
        group.kind,
        worst(findings),
        one.state,
        len(one.members),
        len(group.cursors),
        owned,
        lag.events,
        lag.milliseconds,
    )
