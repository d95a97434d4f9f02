"""Holds where a reader is in one partition: what was handed out, and what that says of the streams in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from runbus.kafka.model import StreamId, TopicPartition
from runbus.reader.sequences import Sequences, Stream


class Handed(NamedTuple):
    """What was handed out last. It is written as one, so an interrupt finds the event before or this one.

    Attributes:
        position: the next offset to hand out: everything before it was returned, or is of no interest here.
        pieces: how many events of the record at `position` were returned already.
        stream, after: whose steps they were, and how far it has come with them.
    """

    position: int
    pieces: int = 0
    stream: StreamId | None = None
    after: Stream | None = None


@dataclass(slots=True, eq=False)
class PartitionCursor:
    """One partition, from its assignment to its loss.

    The user's side writes `handed`, `sequences`, `committed` and `behind_since_ms`; the fetcher's thread the rest.

    Attributes:
        place: which partition.
        handed: what was handed out last.
        sequences: what arrived of each stream, but for what `handed` says.
        committed: the offset that this reader found or committed last; -1 = none.
        fetched: the next offset to come from the broker.
        newest: offset of the newest record that waits, or waited, to be handed out; -1 = none.
        lost: another member has the partition: what is left here of it is the other's to hand out.
        behind_since_ms: since when it is known that a record is there which was not fetched; 0 = there is none.
    """

    place: TopicPartition
    handed: Handed
    fetched: int
    sequences: Sequences = field(default_factory=Sequences)
    committed: int = -1
    newest: int = -1
    lost: bool = False
    behind_since_ms: int = 0

    @property
    def position(self) -> int:
        """The next offset to hand out."""
        return self.handed.position

    @property
    def waiting(self) -> bool:
        """Whether a record of it waits to be handed out."""
        return self.newest >= self.handed.position

    def settle(self) -> Sequences:
        """Return the sequences with what was handed out last; to repeat the call changes nothing."""
        handed = self.handed
        if handed.stream is not None and handed.after is not None:
            self.sequences.keep(handed.stream, handed.after)
        return self.sequences

    def pass_to(self, offset: int) -> None:
        """Go on at `offset`: what is before it was handed out, or is of no interest."""
        if offset > self.handed.position:
            self.settle()
            self.handed = Handed(offset)
