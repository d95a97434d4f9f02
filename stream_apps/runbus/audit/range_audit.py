"""Audits every offset of a topic against its table, partition by partition, in pieces.

Memory holds one piece, however long the log is, and the positions of dead letters in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

from confluent_kafka import Message

from runbus.audit.dead_letters import letters_in_flight
from runbus.audit.tables import TopicTables
from runbus.audit.verdicts import UNKNOWN, ExpectedRows, Facts, Verdict, VerdictRange, VerdictSums, compare, merged
from runbus.clickhouse.client import connect
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.tables import STORED_TOPICS, StoredTopic
from runbus.config.errors import InvalidValue, RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.admin import topic_id
from runbus.kafka.topic_log import TopicLog, open_topic, record_position
from runbus.kafka.topics import DEAD_LETTERS, TOPICS
from runbus.schemas.batches import BATCHES
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema

_log = logging.getLogger(__name__)

# Offsets of a piece. A record of 256 steps is 15 to 60 KB on the log (streamed, not held), 0.6 KB of ClickHouse's
# memory (its set of seq) and 0.4 KB here. Larger pieces read fewer granules of the table twice.
PIECE = 32_768

_COMPACTED = frozenset(topic.name for topic in TOPICS if "compact" in topic.cleanup)


class TopicChanged(RunBusError):
    """The topic was deleted and created again while it was audited."""


class Finding(NamedTuple):
    """One range and its partition; `topic_id` is the one of its rows."""

    topic: str
    topic_id: str
    partition: int
    range: VerdictRange

    def as_dict(self) -> dict[str, int | str]:
        """Return it by name, as JSON has it."""
        return {
            "topic": self.topic,
            "topic_id": self.topic_id,
            "partition": self.partition,
            **self.range.as_dict(),
        }


@dataclass(slots=True)
class AuditedPartition:
    """One audited partition: the log's bounds when its audit began, the committed offset, the sums so far."""

    topic: str
    topic_id: str
    partition: int
    start: int = 0
    end: int = 0
    committed: int = 0
    sums: VerdictSums = field(default_factory=VerdictSums)

    def as_dict(self) -> dict[str, int | str]:
        """Return it by name, as JSON has it."""
        return {
            "topic": self.topic,
            "topic_id": self.topic_id,
            "partition": self.partition,
            "first_offset": self.start,
            "end_offset": self.end,
            "committed_offset": self.committed,
            **self.sums.as_dict(),
        }


class RangeAudit:
    """Audits every offset once.

    Args:
        installation: the log and ClickHouse.
        topics: those to audit.
        piece: offsets that are compared at a time.
        on_progress: takes how many offsets of a topic are compared.

    Attributes:
        partitions: what was audited; complete when `findings` has ended.
    """

    def __init__(
        self,
        installation: Installation,
        topics: Iterable[StoredTopic] = STORED_TOPICS,
        piece: int = PIECE,
        on_progress: OnProgress = unseen,
    ) -> None:
        self._installation = installation
        self._topics = tuple(topics)
        self._piece = piece
        self._on_progress = on_progress
        self.partitions: list[AuditedPartition] = []

    @property
    def total(self) -> VerdictSums:
        """The sums of all partitions so far."""
        total = VerdictSums()
        for partition in self.partitions:
            total.offsets += partition.sums.offsets
            total.rows += partition.sums.rows
        return total

    def findings(self) -> Iterator[Finding]:
        """Yield every range of every partition, sound or not, as soon as it is known; each counts in `partitions`.

        Raises:
            BrokerUnavailable, TopicMissing, LogShrank: the log cannot be read.
            StoreError: ClickHouse cannot be asked.
            TopicChanged: what was yielded of the last topic is invalid.
        """
        kafka, group = self._installation.kafka, self._installation.group
        with closing(connect(self._installation.clickhouse)) as client:
            for stored in self._topics:
                with open_topic(kafka, stored.topic, group) as log, open_topic(kafka, DEAD_LETTERS, group) as letters:
                    tables = TopicTables(client, stored, log.name, log.id)
                    progress = _AuditProgress(log, self._on_progress)
                    topic = _AuditedTopic(stored, log, tables, self._installation.codec, progress)
                    yield from self._topic(topic, letters)
                if topic_id(kafka, log.name) != log.id:
                    raise TopicChanged(f"{log.name} was created anew during its audit: run the audit again")

    def _topic(self, topic: _AuditedTopic, letters: TopicLog) -> Iterator[Finding]:
        committed = topic.log.committed()
        in_flight = letters_in_flight(letters, self._on_progress).get(topic.log.id, {})
        lost = topic.tables.lost()
        partitions = {p: AuditedPartition(topic.log.name, topic.log.id, p) for p in topic.log.partitions}
        for partition, audited in partitions.items():
            self.partitions.append(audited)
            audited.start, audited.end = topic.log.bounds(partition)
            audited.committed = committed[partition]
            _log.info("audit.partition %s:%d offsets=%d-%d", topic.log.name, partition, audited.start, audited.end)
            facts = Facts(
                committed=audited.committed,
                dead=in_flight.get(partition, set()),
                lost=tuple(lost.get(partition, ())),
                compacted=topic.stored.topic in _COMPACTED,
            )
            for found in topic.ranges(audited, facts, self._piece):
                audited.sums.add(found)
                yield Finding(audited.topic, audited.topic_id, partition, found)
        for other in topic.tables.elsewhere(len(partitions)):
            if other.partition not in partitions:
                partitions[other.partition] = AuditedPartition(topic.log.name, topic.log.id, other.partition)
                self.partitions.append(partitions[other.partition])
            partitions[other.partition].sums.add(other.range)
            yield Finding(topic.log.name, other.topic_id, other.partition, other.range)


class _AuditProgress:
    """Reports how many offsets of a topic are compared, of those that it had when its audit began."""

    def __init__(self, log: TopicLog, on_progress: OnProgress) -> None:
        self._work = f"comparing {log.name}"
        self._total = sum(end - start for start, end in map(log.bounds, log.partitions))
        self._on_progress = on_progress
        self._done = 0
        self.add(0)

    def add(self, offsets: int) -> None:
        """Report more compared offsets; the log may have grown since."""
        self._done += offsets
        self._on_progress(self._work, self._done, max(self._done, self._total), "records")


@dataclass(frozen=True, slots=True)
class _AuditedTopic:
    """Compares the log and the table of one topic."""

    stored: StoredTopic
    log: TopicLog
    tables: TopicTables
    codec: Codec
    progress: _AuditProgress

    def ranges(self, audited: AuditedPartition, facts: Facts, piece: int) -> Iterator[VerdictRange]:
        """Yield the ranges of one partition, from what is older than the log to what is beyond its end."""
        for first, last in facts.lost:
            before = min(last, audited.start - 1)  # what is still in the log is compared there
            if first <= before:
                yield VerdictRange(Verdict.LOST, first, before, before - first + 1)
        expired = self.tables.expired(audited.partition, audited.start)
        older = [] if expired is None else [expired]
        yield from merged(chain(older, self._in_the_log(audited, facts, piece), self._beyond(audited, piece)))

    def _in_the_log(self, audited: AuditedPartition, facts: Facts, piece: int) -> Iterator[VerdictRange]:
        """Yield the verdict on each offset that the log holds: rows first, then the records."""
        walk = self.log.walk(audited.partition, audited.start)
        for first in range(audited.start, audited.end, piece):
            after = min(first + piece, audited.end)
            found = self.tables.found(audited.partition, first, after - 1)
            dead = facts.dead | self.tables.dead(audited.partition, first, after - 1)
            records = {record_position(message)[1]: self._expected(message) for message in walk.below(after)}
            start, _ = self.log.bounds(audited.partition)  # retention may have been faster than this audit
            lost = tuple((lo, hi) for lo, hi in facts.lost if lo < after and first <= hi)
            yield from compare(records, found, replace(facts, start=start, dead=dead, lost=lost))
            self.progress.add(after - first)

    def _beyond(self, audited: AuditedPartition, piece: int) -> Iterator[VerdictRange]:
        """Yield the rows of offsets that the log does not reach. It grows, so its end is read after the rows."""
        first = audited.end
        while found := self.tables.next_found(audited.partition, first, piece):
            _, end = self.log.bounds(audited.partition)
            yield from compare({}, {offset: rows for offset, rows in found.items() if offset >= end}, Facts())
            first = max(found) + 1

    def _expected(self, message: Message) -> ExpectedRows:
        """Return the rows that a record must leave; decodes no column."""
        kind = BATCHES.get(self.stored.schema)
        if kind is None:
            return ExpectedRows()
        try:
            writer, body = self.codec.open(message.value(), self.stored.schema)
            header = kind.decode_header(body, writer)
        except (InvalidValue, UnknownSchema):
            return UNKNOWN
        return ExpectedRows(header.count, header.first_seq)
