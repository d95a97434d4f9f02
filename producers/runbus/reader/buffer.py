"""Holds what was fetched and is not handed out yet: the one place where the fetcher's thread and the user's meet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from runbus.reader.bell import Bell
from runbus.reader.cursor import PartitionCursor
from runbus.reader.events import LogEvent


class Fetched(Protocol):
    """A record as the client of Kafka has it."""

    def topic(self) -> str | None:
        """Return its topic, with its prefix."""

    def partition(self) -> int | None:
        """Return its partition."""

    def offset(self) -> int | None:
        """Return its offset."""

    def key(self) -> bytes | str | None:
        """Return its key."""

    def value(self) -> bytes | str | None:
        """Return its value."""

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of its time, and milliseconds since the epoch."""

    def __len__(self) -> int:
        """Return the size of its value."""


#: What a record takes besides its value.
_OBJECT_BYTES = 500


class Item(NamedTuple):
    """One record that is wanted, or a remark about the partition."""

    cursor: PartitionCursor
    record: Fetched | LogEvent


@dataclass(slots=True)
class Chunk:
    """What one call of the client brought.

    Attributes:
        items: in the order of the log, within each partition.
        passed: where each partition is once they are handed out: behind them there may be records that are not wanted,
            and markers of transactions.
        size: bytes of memory that the items take, about.
        end: bytes that were put into the buffer until here, in all.
    """

    items: list[Item] = field(default_factory=list)
    passed: dict[PartitionCursor, int] = field(default_factory=dict)
    size: int = 0
    end: int = 0

    def add(self, cursor: PartitionCursor, record: Fetched) -> None:
        """Add a record."""
        self.items.append(Item(cursor, record))
        self.size += len(record) + _OBJECT_BYTES


class Buffer:
    """Chunks between the two threads: one puts, one takes. Needs no lock; a chunk is changed by its taker only.

    Args:
        limit: bytes of values that may wait here.

    Attributes:
        arrived: is rung when there is something new to look at.
        room: is rung when a chunk was taken.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.arrived, self.room = Bell(), Bell()
        self._chunks: deque[Chunk] = deque()
        self._put = self._taken = 0  # bytes; each is written by one thread

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._put - self._taken

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._chunks

    @property
    def full(self) -> bool:
        """Whether nothing more should be fetched."""
        return self._put - self._taken >= self.limit

    def put(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self._put = chunk.end = self._put + chunk.size
        self._chunks.append(chunk)
        self.arrived.ring()

    def first(self) -> Chunk | None:
        """Return the oldest chunk, and leave it here."""
        return self._chunks[0] if self._chunks else None

    def drop_first(self, chunk: Chunk) -> None:
        """Forget the oldest chunk, if it is this one: to repeat the call changes nothing."""
        if self._chunks and self._chunks[0] is chunk:
            self._taken = chunk.end
            self._chunks.popleft()
            self.room.ring()

    def waiting(self) -> list[Chunk]:
        """Return the chunks that are here now, the oldest first."""
        return list(self._chunks)
