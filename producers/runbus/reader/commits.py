"""Carries out what users commit, in the fetcher's thread: again and again while it may still succeed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.kafka.model import TopicPartition
from runbus.reader.bell import Bell
from runbus.reader.client import Again, LogClient, Lost
from runbus.reader.cursor import PartitionCursor
from runbus.reader.errors import CursorNotSaved
from runbus.reader.plan import Plan


@dataclass(slots=True, eq=False)
class CommitRequest:
    """A commit that the user waits for.

    Attributes:
        offsets: cursor -> the offset to commit and its metadata.
        until: when it is given up.
        done: is rung once `saved` or `error` is there.
    """

    offsets: Mapping[PartitionCursor, tuple[int, str]]
    until: Deadline
    done: Bell = field(default_factory=Bell)
    saved: dict[TopicPartition, int] | None = None
    error: RunBusError | None = None

    @property
    def over(self) -> bool:
        """Whether it is decided."""
        return self.saved is not None or self.error is not None

    def fail(self, error: RunBusError) -> None:
        """Answer it with an error."""
        self.error = error
        self.done.ring()


class Commits:
    """The commits of one reader that are not decided, in their order."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests: deque[CommitRequest] = deque()

    def add(self, request: CommitRequest) -> None:
        """Take one more; called by the user's thread."""
        self._requests.append(request)

    def carry_out(self, client: LogClient, cursors: Mapping[TopicPartition, PartitionCursor]) -> None:
        """Try each; one that has to wait is tried again at the next call."""
        while self._requests and self._decided(self._requests[0], client, cursors):
            self._requests.popleft()

    def give_up(self, reason: str) -> None:
        """Answer them all: nobody will carry them out."""
        while self._requests:
            self._requests.popleft().fail(CursorNotSaved(reason))

    def _decided(
        self, request: CommitRequest, client: LogClient, cursors: Mapping[TopicPartition, PartitionCursor]
    ) -> bool:
        """Commit what is still ours; return False to try again."""
        in_time = not request.until.passed(time.monotonic())
        if in_time and (client.joining or any(_set_aside(cursor, cursors) for cursor in request.offsets)):
            return False
        mine = {c.place: offset for c, offset in request.offsets.items() if _goes_on(c, cursors)}
        if not mine:
            request.fail(CursorNotSaved(f"{self._plan}: other readers of this name have its partitions now"))
            return True
        try:
            client.commit(mine)
        except (Again, Lost) as error:  # who was thrown out joins again, and may get back what it had
            if in_time:
                return False
            request.fail(CursorNotSaved(f"the cursor of {self._plan} was not saved: {error}; commit again"))
        except RunBusError as error:
            request.fail(error)
        else:
            for place, (offset, _) in mine.items():
                cursors[place].committed = offset
            request.saved = {place: offset for place, (offset, _) in mine.items()}
            request.done.ring()
        return True


def _set_aside(cursor: PartitionCursor, cursors: Mapping[TopicPartition, PartitionCursor]) -> bool:
    """Return whether its partition waits for a new client to join."""
    now = cursors.get(cursor.place)
    return now is not None and now.lost


def _goes_on(cursor: PartitionCursor, cursors: Mapping[TopicPartition, PartitionCursor]) -> bool:
    """Return whether this is still its partition; what goes on with another client has the same sequences."""
    now = cursors.get(cursor.place)
    return now is not None and now.sequences is cursor.sequences
