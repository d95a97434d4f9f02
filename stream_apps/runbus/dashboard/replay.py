"""Plays a recorded run into the page again: the frames of its life, at a speed, from what ClickHouse has.

The server keeps nothing of a replay. The id of a frame says how far it is, so a page that pauses closes its stream and
goes on with the id later, and one that was cut off does the same by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runbus.dashboard.history.api import History, Question
from runbus.dashboard.history.native import Table
from runbus.dashboard.history.statements import text
from runbus.dashboard.live.frames import RETRY

Row = dict[str, Any]
Clock = Callable[[], float]

#: As fast as the page takes it.
MAX_SPEED = float("inf")
#: Nobody watches a pause: a silence of the run lasts so long at the most, in seconds of the page.
_SILENCE_S = 2.0
_PAGE = 5000
_START = "replay"
#: Of a stream, so many of the newest episodes make its speed.
_RECENT = 32


@dataclass(frozen=True, slots=True)
class Replay:
    """One run, to be played again.

    Attributes:
        history: what is stored.
        asker: for whom.
        run: which.
        speed: 1 = as it was.
        below: partition -> up to where `episodes` is stored.
        tick_seconds: between two frames.
    """

    history: History
    asker: str
    run: str
    speed: float
    below: Mapping[int, int]
    tick_seconds: float = 0.25

    async def follow(self, since: str, clock: Clock = time.monotonic) -> AsyncIterator[bytes]:
        """Yield frames until the run is over, then beats. Raises ApiError.

        Args:
            since: the id of the last frame that a page has, or empty; `replay.MICROSECONDS` begins at that moment.
            clock: in seconds.
        """
        yield RETRY
        first, last, count = await self._extent()
        if not count:
            yield _frame({"whole": True}, 0, {}, [], {"at": 0, "from": 0, "to": 0, "episodes": 0, "over": True})
            return
        pace = _Pace(_position(since, first), self.speed, clock)
        streams = _Streams()
        ahead, cursor, whole = deque[Row](), _CURSOR, True
        while True:
            if not ahead:
                ahead.extend(_rows(await self._after(cursor)))
                cursor = _cursor(ahead[-1]) if ahead else cursor
            due = list(_due(ahead, pace.now(ahead[0]["last_ts"], ahead[-1]["last_ts"]))) if ahead else []
            over = not ahead and pace.at >= last
            if due or whole or over:
                at = last if over else pace.at
                about = {"at": at, "from": first, "to": last, "episodes": count, "over": over}
                yield _frame({"whole": True} if whole else {}, at, streams.taken(due), due, about)
                whole = False
            if over:
                return
            if ahead and ahead[0]["last_ts"] > pace.at:
                await asyncio.sleep(self.tick_seconds)

    async def _extent(self) -> tuple[int, int, int]:
        where = {"run": self.run, "below": self.below}
        found = (await self.history.table(Question("replay_extent", text("replay_extent"), where), self.asker)).columns
        first, last, count = (found[name].plain()[0] for name in ("first", "last", "episodes"))
        return int(first), int(last), int(count)

    async def _after(self, cursor: Mapping[str, object]) -> Table:
        where = {"run": self.run, "below": self.below, "most": _PAGE, **cursor}
        return await self.history.table(Question("replay_episodes", text("replay_episodes"), where), self.asker)


_CURSOR: Mapping[str, object] = {
    "after_last_ts": -1,
    "after_agent": "",
    "after_attempt": -1,
    "after_env": -1,
    "after_episode": -1,
}


def _cursor(row: Row) -> dict[str, object]:
    return {name: row[name.removeprefix("after_")] for name in _CURSOR}


def _rows(table: Table) -> Iterator[Row]:
    names = list(table.columns)
    for values in zip(*(column.plain() for column in table.columns.values()), strict=True):
        yield dict(zip(names, values, strict=True))


def _due(ahead: deque[Row], now: int) -> Iterator[Row]:
    while ahead and ahead[0]["last_ts"] <= now:
        yield ahead.popleft()


def _position(since: str, first: int) -> int:
    boot, _, at = since.rpartition(".")
    return int(at) if boot == _START and at.isdecimal() else first


class _Pace:
    """Where a replay is, in microseconds of the run."""

    def __init__(self, at: int, speed: float, clock: Clock) -> None:
        self.at = at
        self._speed = speed
        self._clock = clock
        self._looked = clock()

    def now(self, following: int, last: int) -> int:
        """Return where it is now, if the next thing is at `following`; a long silence before that is cut short.

        Args:
            following: microseconds since the epoch.
            last: of what is at hand; the fastest replay is there at once.
        """
        now = self._clock()
        if self._speed == MAX_SPEED:
            self.at = max(self.at, last)
        else:
            self.at += int((now - self._looked) * self._speed * 1e6)
            self.at = max(self.at, following - int(_SILENCE_S * self._speed * 1e6))
        self._looked = now
        return self.at


@dataclass(slots=True)
class _Stream:
    row: Row
    ends: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))


class _Streams:
    """What each stream has done so far, by its episodes."""

    def __init__(self) -> None:
        self._known: dict[str, _Stream] = {}

    def taken(self, episodes: list[Row]) -> dict[str, Row]:
        """Take episodes; return the rows of their streams."""
        changed = {}
        for episode in episodes:
            key = f"{episode['agent']}/{episode['attempt']}"
            known = self._known.setdefault(key, _Stream(_new_stream(episode)))
            _take(known, episode)
            changed[key] = known.row
        return changed


def _new_stream(episode: Row) -> Row:
    return {
        "agent": episode["agent"],
        "attempt": episode["attempt"],
        "state": "running",
        "started_at": episode["attempt"],
        "steps": 0,
        "sps": 0.0,
        "episodes": 0,
        "dropped": 0,
        "reasons": {},
        "running_return": 0.0,
        "running_length": 0,
        "windows": [],
    }


def _take(stream: _Stream, episode: Row) -> None:
    row = stream.row
    stream.ends.append((episode["last_ts"], episode["length"]))
    row["steps"] = max(row["steps"], episode["last_seq"] + 1)
    row["episodes"] += 1
    row["last_return"], row["last_length"] = episode["return"], episode["length"]
    row["newest_ts"] = row["sent_at"] = max(row.get("newest_ts", 0), episode["last_ts"])
    row["reasons"][episode["reason"]] = row["reasons"].get(episode["reason"], 0) + 1
    seconds = (stream.ends[-1][0] - stream.ends[0][0]) / 1e6
    row["sps"] = sum(length for _, length in list(stream.ends)[1:]) / seconds if seconds > 0 else 0.0


def _frame(head: Row, at: int, streams: Mapping[str, Row], episodes: list[Row], about: Row) -> bytes:
    """Return an event; without `below` every episode in it is live, so a page draws nothing of history."""
    rows = {f"{e['agent']}/{e['attempt']}/{e['env']}/{e['episode']}": e for e in episodes}
    body = {"t": time.time_ns() // 1000, **head, "up": {"streams": streams, "episodes": rows}, "replay": about}
    return b"id: %s.%d\r\nevent: d\r\ndata: %s\r\n\r\n" % (_START.encode(), at, orjson.dumps(body))
