"""Hands the commands of `runbus control` to an agent's loop, and keeps what the loop answered."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runbus.recorder.identity import now_us
from runbus.schemas.events import ControlCommand

DONE, REFUSED = "done", "refused"
_WAITING = 1_000  # commands that nobody has taken
_NOTE_CHARS = 500
_TEXT_BYTES = 64 * 1024  # of all commands that a stream's event repeats


class Sent(NamedTuple):
    """A command in the log.

    Attributes:
        appended_at: by the broker's clock, in microseconds.
    """

    command: ControlCommand
    offset: int
    appended_at: int


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that `runbus control` asks of this agent.

    It counts as done once the loop asks for commands again or closes the recorder in order; `done` and `refuse` answer
    at once, and with words.

    Attributes:
        name: `pause`, `resume`, `stop`, `checkpoint` or `set`; a later version may know more.
        key: of `set`: what to set.
        value: of `set`: what to set it to; a number, text, list, ...
        id: names it in the log.
        everybody: it was sent to every agent of the run.
        sent_at: microseconds since the epoch, by the operator's clock.
        sent_by: user@host.
    """

    name: str
    key: str = ""
    value: Any = None
    id: str = ""
    everybody: bool = True
    sent_at: int = 0
    sent_by: str = ""
    _answer: Callable[[str, str, str], None] = field(default=lambda *_: None, repr=False, compare=False)

    def done(self, note: str = "") -> None:
        """Say in the log that it is done; `note` says how (the path of a checkpoint). Never raises, never waits."""
        self._answer(self.id, DONE, note)

    def refuse(self, reason: str) -> None:
        """Say in the log that it is not done, and why. Never raises, never waits."""
        self._answer(self.id, REFUSED, reason)


def standing(sent: Sequence[Sent], began_at: int) -> list[ControlCommand]:
    """Return what holds for a stream that reads the commands of its agent from the start of the log.

    Args:
        sent: in the order of the log.
        began_at: start of the stream, in microseconds.

    Returns:
        Of what was sent before the stream began: the pause that was not resumed, and the newest of each `set`. All that
        was sent later.
    """
    before = [one.command for one in sent if one.appended_at < began_at]
    latest = {c.key if c.command == "set" else None: c for c in before if c.command in ("pause", "resume", "set")}
    kept = {id(c) for c in latest.values() if c.command != "resume"}
    return [one.command for one in sent if one.appended_at >= began_at or id(one.command) in kept]


class Inbox:
    """Keeps the commands for one stream between the thread that reads them and the loop that takes them.

    Until the thread has come to the end of the log once, nothing can be taken.

    Attributes:
        run, agent: whose commands.
        waiting: what the loop has not taken; true if there is something.
        overflowed: commands that were given up, as nobody took them.
    """

    def __init__(self, run: str, agent: str, began_at: int) -> None:
        self.run, self.agent = run, agent
        self.overflowed = 0
        self._began_at = began_at
        self._backlog: list[Sent] | None = []
        self.waiting: deque[ControlCommand] = deque()
        self._next = 0

    # --- the thread that reads ----------------------------------------------------------------------------------

    def offer(self, sent: Sent) -> None:
        """Take a command of the log, unless it is another agent's or was taken before."""
        command = sent.command
        if sent.offset < self._next or command.run_id != self.run or command.agent not in ("", self.agent):
            return
        self._next = sent.offset + 1
        if self._backlog is not None:
            self._backlog.append(sent)
        else:
            self._append([command])

    def reached(self, end: int) -> None:
        """Hear that the log ends at this offset now."""
        if end < self._next:  # the topic was deleted and created anew
            self._next = 0
        if self._backlog is not None:
            backlog, self._backlog = self._backlog, None
            self._append(standing(backlog, self._began_at))

    def _append(self, commands: Sequence[ControlCommand]) -> None:
        for command in commands:
            if len(self.waiting) >= _WAITING:
                self.waiting.popleft()
                self.overflowed += 1
            self.waiting.append(command)

    # --- the loop -----------------------------------------------------------------------------------------------

    def take(self) -> list[ControlCommand]:
        """Return what came since the last call."""
        found = []
        while self.waiting:
            found.append(self.waiting.popleft())
        return found


class Answers:
    """Keeps what one stream was handed and what it answered, as its events say it. Thread safe.

    Attributes:
        open: ids of what was handed out and has no answer.
    """

    def __init__(self) -> None:
        self.open: list[str] = []
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}

    def hand(self, command: ControlCommand) -> None:
        """Note that the loop gets this."""
        entry = {"id": command.id, "command": command.command, "key": command.key, "value": command.value}
        with self._lock:
            self._entries[command.id] = {**entry, "sent_at": command.sent_at, "taken_at": now_us(), "answer": ""}
            self.open.append(command.id)

    def answer(self, id_: str, answer: str, note: str = "") -> None:
        """Note an answer; the first counts."""
        with self._lock:
            if id_ in self.open:
                self.open.remove(id_)
                self._entries[id_] |= {"answer": answer, "note": str(note)[:_NOTE_CHARS], "answered_at": now_us()}

    def settle(self) -> bool:
        """Note that all that was handed out is done; return whether anything was open."""
        left = tuple(self.open)
        for id_ in left:
            self.answer(id_, DONE)
        return bool(left)

    def text(self) -> str:
        """Return the newest entries as JSON: as many as have 64 KiB together."""
        with self._lock:
            entries = [json.dumps(entry) for entry in self._entries.values()]
        size, kept = 2, len(entries)
        while kept and size + len(entries[kept - 1]) + 2 <= _TEXT_BYTES:
            size += len(entries[kept - 1]) + 2
            kept -= 1
        return f"[{', '.join(entries[kept:])}]"


def as_command(command: ControlCommand, answer: Callable[[str, str, str], None]) -> Command:
    """Return a command of the log as the loop gets it; a value that is not JSON is text."""
    try:
        value = json.loads(command.value) if command.value else None
    except ValueError:
        value = command.value
    return Command(
        name=command.command,
        key=command.key,
        value=value,
        id=command.id,
        everybody=not command.agent,
        sent_at=command.sent_at,
        sent_by=command.sent_by,
        _answer=answer,
    )
