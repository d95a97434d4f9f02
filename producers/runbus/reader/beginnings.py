"""Finds the offset at which each partition begins, from what the user asked for, the group's cursor and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from runbus.kafka.model import TopicPartition
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.plan import Plan
from runbus.reader.sequences import Sequences
from runbus.reader.start import Offset, Seq, Start

log = logging.getLogger(__name__)
T = TypeVar("T")
# One question to a broker that hangs. Far below max.poll.interval.ms (300 s): a rebalance callback waits for it.
QUESTION_S = 10.0


class Ask(Protocol):
    """Makes a question to the broker again while it may still be answered."""

    def __call__(self, question: Callable[[], T], /) -> T:
        """Return the answer. Raises KafkaException."""


class Committed(NamedTuple):
    """What the group keeps for a partition."""

    offset: int
    metadata: str | None


class Beginnings:
    """Makes the cursor of a partition that this reader gets.

    A partition that it had before goes on where it was, if nobody else has moved the group's cursor meanwhile.

    Args:
        plan: what the user asked for.
        ask: how to put a question to the broker.
    """

    def __init__(self, plan: Plan, ask: Ask) -> None:
        self._plan = plan
        self._ask = ask

    def cursors(
        self, consumer: Consumer, places: Sequence[TopicPartition], before: Mapping[TopicPartition, PartitionCursor]
    ) -> dict[TopicPartition, PartitionCursor]:
        """Return a cursor for each partition. Raises KafkaException."""
        committed = self._committed(consumer, places)
        found = {}
        for place in places:
            bounds = self._ask(partial(_bounds, consumer, place))
            kept, old = committed.get(place), before.get(place)
            if old is not None and (kept is None or kept.offset == old.committed):
                found[place] = self._again(old)
            elif kept is not None and (old is not None or self._plan.start == "committed"):
                found[place] = self._at_cursor(place, kept, bounds)
            else:
                start = self._plan.otherwise if self._plan.start == "committed" else self._plan.start
                found[place] = self._new(place, self._offset(consumer, place, start, bounds), bounds)
                found[place].committed = -1 if kept is None else kept.offset
        return found

    def _committed(self, consumer: Consumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Committed]:
        if self._plan.name is None or not places:
            return {}
        asked = [ClientPartition(*place) for place in places]
        answers = self._ask(lambda: _checked(consumer.committed(asked, timeout=QUESTION_S)))
        return {TopicPartition(a.topic, a.partition): Committed(a.offset, a.metadata) for a in answers if a.offset >= 0}

    def _again(self, old: PartitionCursor) -> PartitionCursor:
        return PartitionCursor(old.place, old.handed, old.position, old.sequences, old.committed)

    def _at_cursor(self, place: TopicPartition, kept: Committed, bounds: tuple[int, int]) -> PartitionCursor:
        low, end = bounds
        if kept.offset > end:
            log.warning(
                "reader.cursor_behind_end %s: the cursor of %s is at %d, and the log ends at %d: the topic was created "
                "anew, or the broker lost records; reading begins at %d",
                place,
                self._plan,
                kept.offset,
                end,
                low,
            )
            return self._new(place, low, bounds)
        sequences = Sequences.decode(kept.metadata) or Sequences(whole=kept.offset == 0)
        return PartitionCursor(place, Handed(kept.offset), kept.offset, sequences, kept.offset)

    def _new(self, place: TopicPartition, offset: int, bounds: tuple[int, int]) -> PartitionCursor:
        whole = offset == 0 == bounds[0] and not isinstance(self._plan.start, Seq)
        return PartitionCursor(place, Handed(offset), offset, Sequences(whole=whole))

    def _offset(self, consumer: Consumer, place: TopicPartition, start: Start, bounds: tuple[int, int]) -> int:
        low, end = bounds
        match start:
            case "latest":
                return end
            case Offset():
                return min(start.offset, end)
            case datetime():
                return self._ask(lambda: _at_time(consumer, place, start, end))
            case Seq() | str():
                return low
        found = start.get(place) if isinstance(start, Mapping) else None
        return self._offset(consumer, place, self._plan.otherwise, bounds) if found is None else min(found, end)


def _bounds(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    low, end = consumer.get_watermark_offsets(ClientPartition(*place), timeout=QUESTION_S)
    return low, end


def _at_time(consumer: Consumer, place: TopicPartition, time: datetime, end: int) -> int:
    asked = [ClientPartition(*place, int(time.timestamp() * 1000))]
    (found,) = _checked(consumer.offsets_for_times(asked, timeout=QUESTION_S))
    return found.offset if found.offset >= 0 else end


def _checked(answers: list[ClientPartition]) -> list[ClientPartition]:
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
    return answers
