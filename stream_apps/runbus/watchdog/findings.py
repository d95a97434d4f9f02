"""Defines the words of the watch: states, findings, and how long one may last before it is an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """How something stands, the worst last. Burrow's words (its wiki, "Consumer Lag Evaluation Rules").

    OK: it keeps up. WARN: it works, and a person should know something. STALL: it lives and does not move. STOP: it
    does not live, or nobody does its work. REWIND: it went back.
    """

    OK = 0
    WARN = 1
    STALL = 2
    STOP = 3
    REWIND = 4


@dataclass(frozen=True, slots=True)
class WatchFinding:
    """One thing that is not as it should be, now.

    Attributes:
        subject: what it is about: `group runbus.sink`, `sink-host-12`.
        what: in a word, the same as long as it is the same finding: `still`, `no owner`, `silent`, ...
        state: of the subject, because of it.
        text: what is wrong, one sentence without its subject.
        todo: what to do about it, one sentence.
        hold_s: for so long it may last before it is an alarm; None = it never is one.
        since_s: how long it lasts already, by a clock of its own; None = as long as it is found.
    """

    subject: str
    what: str
    state: State
    text: str
    todo: str
    hold_s: float | None = None
    since_s: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding as a moment ago."""
        return (self.subject, self.what)
