"""Decides how many dead letters are too many, by a count that is kept in the commits: no restart forgets it.

A value that cannot be stored becomes a dead letter and the rest goes on. But if hardly anything can be stored,
something else is wrong (a schema that is not registered, a producer of another program), and emptying the log into the
dead letters would hide it. Past these limits a partition waits for a person instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from runbus.config import catalogue as c
from runbus.config.setting import of


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """Limits on dead letters; past one of them a partition pauses.

    Attributes:
        run: dead letters one behind the other; 0 = any number.
        share: of the last `window` records or more, between 0 and 1; 1 = all of them may be.
        window: records that the share is taken of; fewer are not judged.
    """

    run: int = of(c.SINK_DEAD_LETTER_RUN)
    share: float = of(c.SINK_DEAD_LETTER_SHARE)
    window: int = 1000


class DeadLetterRate(NamedTuple):
    """Dead letters among the records of a partition, up to a position.

    Attributes:
        run: dead letters at its end, one behind the other.
        letters, records: of about the last `window` to 2 `window` records; older ones fade.
    """

    run: int = 0
    letters: float = 0.0
    records: float = 0.0

    def after(
        self, offsets: Sequence[int], bad: AbstractSet[int], limits: DeadLetterLimits
    ) -> tuple[DeadLetterRate, str]:
        """Return the value behind some further records, and which limit they break ("" = none).

        Args:
            offsets: of the records, ascending.
            bad: the ones among them that would become dead letters.
            limits: to judge by.
        """
        if not bad:
            return (self._count(0, len(offsets), limits)._replace(run=0) if offsets else self), ""
        now, broken = self, ""
        for offset in offsets:
            dead = offset in bad
            now = now._count(dead, 1, limits)._replace(run=now.run + 1 if dead else 0)
            broken = broken or (now._broken(limits) if dead else "")
        return now, broken

    def _count(self, letters: int, records: int, limits: DeadLetterLimits) -> DeadLetterRate:
        total = self.records + records
        fade = limits.window / total if total > 2 * limits.window else 1.0
        return DeadLetterRate(self.run, round((self.letters + letters) * fade, 3), round(total * fade, 3))

    def _broken(self, limits: DeadLetterLimits) -> str:
        if limits.run and self.run > limits.run:
            return f"more than {limits.run} values in a row cannot be stored"
        if self.records >= limits.window and self.letters > limits.share * self.records:
            return f"more than {limits.share:.0%} of the last {self.records:.0f} values cannot be stored"
        return ""


NONE_YET = DeadLetterRate()
