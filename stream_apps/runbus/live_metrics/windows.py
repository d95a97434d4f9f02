"""Keeps the windows of one stream: reward, return and length over 1 s and 60 s, tumbling by the agent's clock.

Of each length two windows are held: the running one, which the newest row is in, and the last full one. A window is
full once a row of a later one came. A minute is the merge of its seconds, so a row is sketched once. Windows are not
state: they start anew with the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.live_metrics.measure import Measure, Values
from runbus.schemas.events import Window

SECOND_US = 1_000_000
MINUTE_S = 60
MINUTE_US = MINUTE_S * SECOND_US
#: Room for sketches in one event: with ids of 255 bytes, twelve windows and the numbers an event stays below 8 KiB.
SKETCH_BYTES = 6400
#: An agent's clock that was set back leaves its windows in the future; after so much stream time they start anew.
CLOCK_RESET_MS = 60_000

NAMES = ("reward", "return", "length")


class EndedEpisode(NamedTuple):
    """An episode that ended at `ts` (microseconds, the agent's clock)."""

    ts: int
    return_: float
    length: int


@dataclass(frozen=True, slots=True)
class NewRows:
    """The new rows of a batch.

    Attributes:
        ts: (n,) int64, microseconds since the epoch, not necessarily ascending.
        oldest, newest: of ts.
        stepped: (n,) which rows are steps, not resets; None = all.
        rewards: of the steps.
    """

    ts: NDArray[np.int64]
    oldest: int
    newest: int
    stepped: NDArray[np.bool_] | None
    rewards: Values

    def rewards_where(self, chosen: NDArray[np.bool_]) -> Values:
        """Return the rewards of the steps among the chosen rows, (n,)."""
        return Values.of(self.rewards.array[chosen if self.stepped is None else chosen[self.stepped]])


@dataclass(slots=True, eq=False)
class WindowMeasures:
    """The measures of one window, which begins at `start` (microseconds)."""

    start: int
    reward: Measure = field(default_factory=Measure)
    return_: Measure = field(default_factory=Measure)
    length: Measure = field(default_factory=Measure)

    def put(self, rewards: Values, ended: Sequence[EndedEpisode]) -> None:
        """Take rewards and episodes that ended."""
        self.reward.add(rewards)
        for episode in ended:
            self.return_.add_one(episode.return_)
            self.length.add_one(episode.length)

    def merge(self, other: WindowMeasures) -> None:
        """Take the measures of another window."""
        self.reward.merge(other.reward)
        self.return_.merge(other.return_)
        self.length.merge(other.length)

    def windows(self, seconds: int) -> Iterator[Window]:
        """Yield the measures that have a value."""
        for name, measure in zip(NAMES, (self.reward, self.return_, self.length), strict=True):
            if measure.count:
                yield measure.window(name, seconds, self.start)


class Windows:
    """All windows of one stream."""

    __slots__ = ("_current_ms", "_full_minute", "_full_second", "_minute", "_rate", "_second")

    def __init__(self) -> None:
        self._current_ms = 0
        self._restart()

    def add(self, rows: NewRows, ended: Sequence[EndedEpisode], watermark_ms: int) -> int:
        """Take new rows and the episodes that ended with them; return how many rows are older than the running second.

        Such rows count in the running minute if they are within it, otherwise in no window.
        """
        second = self._second
        if second is not None and second.start <= rows.oldest and rows.newest < second.start + SECOND_US:
            second.put(rows.rewards, ended)
            self._current_ms = watermark_ms
            return 0
        return self._add_by_second(rows, ended, watermark_ms)

    def steps_per_second(self) -> float:
        """Return the steps of the last full second, by the time from its start to that of the running one.

        The two starts differ by a second unless the agent pauses. Without a full second: the steps of the running one.
        """
        if self._rate is not None:
            return self._rate
        return 0.0 if self._second is None else float(self._second.reward.count)

    def now(self) -> tuple[Window, ...]:
        """Return the windows that hold something, the full ones first, their sketches within SKETCH_BYTES.

        A window whose sketch has no room has empty `quantiles`; its other fields are exact.
        """
        if self._second is None or self._minute is None:
            return ()
        minute = WindowMeasures(self._minute.start)
        minute.merge(self._minute)
        minute.merge(self._second)
        found = [*self._full_minute, *self._full_second, *minute.windows(MINUTE_S), *self._second.windows(1)]
        room = SKETCH_BYTES
        for i, window in enumerate(found):
            if len(window.quantiles) <= room:
                room -= len(window.quantiles)
            else:
                found[i] = replace(window, quantiles=b"")
        return tuple(found)

    def _restart(self) -> None:
        self._second: WindowMeasures | None = None
        self._minute: WindowMeasures | None = None
        self._full_second: tuple[Window, ...] = ()
        self._full_minute: tuple[Window, ...] = ()
        self._rate: float | None = None

    def _add_by_second(self, rows: NewRows, ended: Sequence[EndedEpisode], watermark_ms: int) -> int:
        """Take rows second by second: some of them are not in the running second.

        Rows can span any time; older ones than the newest 120 seconds that have rows are in no window that is shown.
        """
        if self._second is not None and rows.newest < self._second.start:
            if watermark_ms - self._current_ms > CLOCK_RESET_MS:
                self._restart()
        else:
            self._current_ms = watermark_ms
        slots = rows.ts // SECOND_US
        late = 0
        if self._second is not None and rows.oldest < self._second.start:
            late = self._add_late(rows, slots, ended)
        first = self._second.start // SECOND_US if self._second is not None else int(slots.min())
        for slot in np.unique(slots[slots >= first])[-2 * MINUTE_S :].tolist():
            rewards = rows.rewards_where(slots == slot)
            self._advance(slot * SECOND_US).put(rewards, [e for e in ended if e.ts // SECOND_US == slot])
        return late

    def _add_late(self, rows: NewRows, slots: NDArray[np.int64], ended: Sequence[EndedEpisode]) -> int:
        assert self._second is not None
        assert self._minute is not None
        low, high = self._minute.start, self._second.start
        older = slots < high // SECOND_US
        rewards = rows.rewards_where(older & (slots >= low // SECOND_US))
        self._minute.put(rewards, [e for e in ended if low <= e.ts < high])
        return int(np.count_nonzero(older))

    def _advance(self, start: int) -> WindowMeasures:
        """Make the second that begins at `start` the running one, and return it."""
        second, minute = self._second, self._minute
        if second is not None and start == second.start:
            return second
        minute_start = start // MINUTE_US * MINUTE_US
        if second is not None and minute is not None:
            self._full_second = tuple(second.windows(1))
            self._rate = second.reward.count * SECOND_US / (start - second.start)
            minute.merge(second)
            if minute.start != minute_start:
                self._full_minute = tuple(minute.windows(MINUTE_S))
        if minute is None or minute.start != minute_start:
            self._minute = WindowMeasures(minute_start)
        self._second = WindowMeasures(start)
        return self._second
