"""Implements a log in memory: records, the offsets at which they begin, what a group committed."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import DeadLetter, Fenced, TopicIdPartition, TopicPartition
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, SchemaRef
from runbus.sink.api import FramedRecord
from runbus.sink.group import Restart

#: called as script(operation, "before" | "after"); it may raise
Script = Callable[[str, str], None]


def no_faults(operation: str, moment: str) -> None:
    """Raise nothing."""


class LocalSchemas:
    """Finds schemas of the package, or of a codec."""

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema; see api.SchemaResolver."""
        return self._codec.resolve(ref)


@dataclass(slots=True)
class MemoryLog:
    """Holds topics, and the committed offsets of one consumer group.

    Attributes:
        script: called before and after each operation of a lease; an exception is a fault at that point.
        records: by partition, in order of offset; offsets may have gaps.
        low: first offset that retention has kept, by partition.
        committed: of the group.
        topic_ids: name -> id; a topic that is not in it does not exist.
        dead_letters: in the order of their arrival.
        generations: of the leases that `lease` gave out.
    """

    script: Script = no_faults
    records: dict[TopicPartition, list[FramedRecord]] = field(default_factory=lambda: defaultdict(list))
    low: dict[TopicPartition, int] = field(default_factory=dict)
    committed: dict[TopicPartition, Committed] = field(default_factory=dict)
    topic_ids: dict[str, str] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    generations: Counter[TopicPartition] = field(default_factory=Counter)

    def lease(self, position: TopicPartition) -> MemoryLease:
        """Return a lease for a new owner, without a group; earlier owners are fenced from now on."""
        self.generations[position] += 1
        topic_id = self.topic_ids.setdefault(position.topic, "id-1")
        source = TopicIdPartition(position.topic, topic_id, position.partition)
        return MemoryLease(self, source, self.generations[position])

    def high(self, position: TopicPartition) -> int:
        """Return the offset behind the last record."""
        records = self.records.get(position)
        return records[-1].offset + 1 if records else self.low.get(position, 0)

    def delete(self, position: TopicPartition, below: int) -> None:
        """Delete the records below an offset, as retention does."""
        below = min(below, self.high(position))
        self.low[position] = max(below, self.low.get(position, 0))
        kept = [record for record in self.records[position] if record.offset >= below]
        self.records[position] = kept

    def fetch(self, at: Mapping[TopicPartition, int], limit: int) -> dict[TopicPartition, list[FramedRecord]]:
        """Return up to `limit` records a partition from the given offsets on. Raises Restart if one is deleted."""
        found: dict[TopicPartition, list[FramedRecord]] = {}
        for position, offset in at.items():
            if position.topic not in self.topic_ids:
                raise Restart(f"topic {position.topic} is gone")
            if not self.low.get(position, 0) <= offset <= self.high(position):
                raise Restart(f"{position}: offset {offset} is not in the log any more")
            records = self.records[position]
            found[position] = [record for record in records if record.offset >= offset][:limit]
        return found

    # --- see api.Log and group.GroupOffsets -------------------------------------------------------------------------

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter; see api.Log."""
        self.script("dead_letter", "before")
        self.dead_letters.append(letter)
        self.script("dead_letter", "after")

    async def offsets(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Return what the group committed; see group.GroupOffsets."""
        return {position: self.committed.get(position) for position in positions}

    async def bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset and the one behind the last; see group.GroupOffsets."""
        return {position: (self.low.get(position, 0), self.high(position)) for position in positions}

    async def ids(self) -> dict[str, str]:
        """Return name -> id of the topics that exist."""
        return dict(self.topic_ids)


@dataclass(frozen=True, slots=True)
class MemoryLease:
    """Commits for one partition without a group; see api.Lease."""

    log: MemoryLog
    source: TopicIdPartition
    generation: int

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit, unless the partition has another owner."""
        self.log.script("commit", "before")
        await asyncio.sleep(0)
        at = self.source.position
        if self.log.generations[at] != self.generation:
            raise Fenced(f"{at} has another owner")
        self.log.committed[at] = Committed(offset, Intent.decode(intent.encode()))
        self.log.script("commit", "after")

    async def confirm(self) -> None:
        """Raise Fenced if the topic was re-created."""
        self.log.script("confirm", "before")
        await asyncio.sleep(0)
        if self.log.topic_ids[self.source.topic] != self.source.topic_id:
            raise Fenced(f"topic {self.source.topic} was re-created")
