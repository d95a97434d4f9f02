"""Judges one consumer in one partition by where it stood over a sliding window. Pure: time is given.

The rules are Burrow's (its wiki, "Consumer Lag Evaluation Rules"), for positions that are looked at instead of commits
that are heard of:

1. Nothing is left to read: OK.
2. It is before a position that it had already: REWIND, until it is there again.
3. Something was left to read all the time, and it has not moved for longer than it ever paused lately: STALL if it
   lives, STOP if it does not.
4. It moves, and after each of its moves in the window no less was left than after the one before: WARN, it falls
   behind.
5. Otherwise OK.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from runbus.watchdog.findings import State


class Standing(NamedTuple):
    """One look at a consumer.

    Attributes:
        at: seconds, of one clock that only goes forward.
        position: the next offset that it reads.
        end: where reading ends.
    """

    at: float
    position: int
    end: int

    @property
    def lag(self) -> int:
        """Offsets that are left to read."""
        return max(0, self.end - self.position)


@dataclass(frozen=True, slots=True)
class Rules:
    """The lengths of the rules, in seconds.

    Attributes:
        window: how long moves are remembered.
        still: it does not move if it has not moved for so long, although something is left. A sink waits 1 s for its
            insert and needs up to 1 s for it.
        still_most: the same for a consumer that pauses longer between two moves, however long those pauses are.
        pauses: how much longer than its longest pause in the window a consumer has to be still.
        unseen: after a gap in the looking it counts as if it had just moved: nobody saw whether it did.
        moves: falling behind takes this many moves.
    """

    window: float = 20.0
    still: float = 1.9
    still_most: float = 6.0
    pauses: float = 1.5
    unseen: float = 3.0
    moves: int = 4


class PositionWindow:
    """The last positions of one consumer in one partition."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._last: Standing | None = None
        self._highest = -1
        self._still_since = 0.0
        self._caught_up_at = float("-inf")
        self._moves: deque[Standing] = deque()
        self._pauses: deque[tuple[float, float]] = deque()  # when it ended, how long it was

    def add(self, sample: Standing) -> None:
        """Take one more look; `at` is not before that of the last one."""
        last, rules = self._last, self._rules
        moved = last is None or sample.position != last.position
        unseen = last is None or sample.at - last.at > rules.unseen
        if last is not None and moved and last.lag and not unseen:
            self._pauses.append((sample.at, sample.at - self._still_since))
        if last is None or moved or unseen or not last.lag:
            self._still_since = sample.at
        if moved:
            self._moves.append(sample)
        if not sample.lag:
            self._caught_up_at = sample.at
        self._highest = max(self._highest, sample.position)
        self._last = sample
        while self._moves and self._moves[0].at < sample.at - rules.window:
            self._moves.popleft()
        while self._pauses and self._pauses[0][0] < sample.at - rules.window:
            self._pauses.popleft()

    def forget(self) -> None:
        """Begin anew, but for the highest position: what happened meanwhile was not seen."""
        self._last = None
        self._moves.clear()
        self._pauses.clear()

    @property
    def still_seconds(self) -> float:
        """How long something was left to read and it did not move; 0.0 = nothing is left."""
        last = self._last
        return 0.0 if last is None or not last.lag else last.at - self._still_since

    @property
    def is_still(self) -> bool:
        """Whether that is longer than it ever pauses."""
        return self.still_seconds >= self._limit()

    def state(self, *, lives: bool) -> State:
        """Return the state as of the last look.

        Args:
            lives: whether somebody who lives reads the partition.
        """
        last = self._last
        if last is None:
            return State.OK
        if last.position < self._highest:
            return State.REWIND
        if not last.lag:
            return State.OK
        if self.is_still:
            return State.STALL if lives else State.STOP
        return State.WARN if self._falls_behind() else State.OK

    def _limit(self) -> float:
        rules = self._rules
        longest = max((length for _, length in self._pauses), default=0.0)
        return min(max(rules.still, longest * rules.pauses), rules.still_most)

    def _falls_behind(self) -> bool:
        moves = [move for move in self._moves if move.at > self._caught_up_at]
        if len(moves) < self._rules.moves:
            return False
        return all(a.lag <= b.lag for a, b in pairwise(moves)) and moves[-1].lag > moves[0].lag
