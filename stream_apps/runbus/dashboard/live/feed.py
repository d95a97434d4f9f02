"""Reads the topics that pages are made from: assigned, without a group, so no other consumer notices.

`runs` and `annotations` are read from their start, for they are compacted and have all that holds. Of what comes all
the time the newest records are enough: pages show how it is now, and history has the rest. `episodes` is read from the
sink's position on, so that history and this together have every episode.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from runbus.dashboard.live.board import Taken
from runbus.kafka.clients import new_bounds_reader, new_feed_reader, new_offsets_reader
from runbus.kafka.errors import RightMissing, no_answer
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.next_step import NextStep, cause_of, next_step, raise_for_person
from runbus.kafka.offsets import KafkaOffsets, LogBounds
from runbus.kafka.run_log import key_text
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import OneThread
from runbus.kafka.topics import ANNOTATIONS, EPISODES, HEARTBEATS, LIVE_METRICS, METRICS, RUNS

log = logging.getLogger(__name__)

_POLL_S = 0.5
_MOST = 2000  # records a look; the page's own answers wait for so many
_CLOSE_S = 2.0
_AGAIN_S = 0.5
#: Of a partition of live metrics, heartbeats and episodes, so many of the newest records.
_NEWEST = 50_000
#: Of a partition of metrics fewer: a record has thousands of values, and only the last of each name is shown.
_NEWEST_METRICS = 2_000
_TOPICS = (RUNS, LIVE_METRICS, HEARTBEATS, EPISODES, METRICS, ANNOTATIONS)
_COMPACTED = (RUNS.name, ANNOTATIONS.name)


class Feed:
    """One reading of the log, from a start to the end of the dashboard.

    Args:
        settings: of the broker.
        sink_group: whose position episodes are read from.
        partitions: of each topic, by full name.
        take: is given the records, in order within each partition.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        sink_group: str,
        partitions: Mapping[str, int],
        take: Callable[[Sequence[Taken]], None],
    ) -> None:
        self._settings = settings
        self._sink_group = sink_group
        self._take = take
        prefix = settings.topic_prefix
        self._short = {prefix + topic.name: topic.name for topic in _TOPICS}
        self._places = [TopicPartition(name, n) for name in self._short for n in range(partitions[name])]
        self._reasons: deque[str] = deque(maxlen=3)
        #: Offset of the next record, of each partition.
        self.positions: dict[TopicPartition, int] = {}
        #: Why nothing comes; empty = all is well.
        self.trouble = ""
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled. Raises RunBusError if a person has to act."""
        while True:
            try:
                starts, ends = await self._starts()
                self.positions = starts
                await self._read(ends)
            except (LogUnavailable, _NewClient) as error:
                self._say(str(error))
                await asyncio.sleep(_AGAIN_S)

    async def _starts(self) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Return where to begin, or to go on, in each partition, and where the log ends now."""
        bounds_of = LogBounds(new_bounds_reader(self._settings))
        committed_of = KafkaOffsets(new_offsets_reader(self._settings, self._sink_group))
        try:
            bounds = await bounds_of.now(self._places)
            stored = await committed_of.committed([at for at in self._places if self._short[at.topic] == EPISODES.name])
        finally:
            await asyncio.gather(bounds_of.close(_CLOSE_S), committed_of.close(_CLOSE_S))
        starts = {}
        for at, (low, end) in bounds.items():
            newest = _NEWEST_METRICS if self._short[at.topic] == METRICS.name else _NEWEST
            first = low if self._short[at.topic] in _COMPACTED else max(low, end - newest)
            found = stored.get(at)
            wanted = self.positions.get(at, first if found is None else max(first, found.offset))
            starts[at] = wanted if low <= wanted <= end else low
        return starts, {at: end for at, (_, end) in bounds.items()}

    async def _read(self, ends: Mapping[TopicPartition, int]) -> None:
        thread = OneThread("runbus-dashboard-feed")
        consumer = new_feed_reader(self._settings, self._sink_group, lambda error: self._reasons.append(error.str()))
        try:
            starts = [ClientPartition(*at, offset) for at, offset in self.positions.items()]
            await thread.call(lambda: consumer.assign(starts))
            waiting = {at for at, end in ends.items() if self.positions[at] < end}
            while True:
                if not waiting:
                    self.caught_up.set()
                messages = await thread.call(lambda: _poll(consumer))
                self._take(list(self._sorted(messages)))
                waiting = {at for at in waiting if self.positions[at] < ends[at]}
        finally:
            thread.post(consumer.close)
            thread.end()

    def _sorted(self, messages: Sequence[Message]) -> Iterator[Taken]:
        """Yield the records among what the client handed out."""
        if not messages and self._reasons:
            self._say("; ".join(dict.fromkeys(self._reasons)))
            self._reasons.clear()
        for message in messages:
            at = TopicPartition(message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is not None:
                self._judge(error, message, at)
                continue
            self._goes_on()
            offset = message.offset() or 0
            self.positions[at] = offset + 1
            value, key = message.value(), key_text(message.key())
            yield Taken(self._short[at.topic], key, value or b"", at.partition, offset, message.timestamp()[1])

    def _judge(self, error: KafkaError, message: Message, at: TopicPartition) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self._goes_on()
            self.positions[at] = max(self.positions[at], message.offset() or 0)
            return
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise RightMissing(self._settings, [f"Read on Topic {at.topic}"])
        raise_for_person(error, f"Read on Topic {at.topic}")
        if next_step(error) is NextStep.NEW_CLIENT:
            raise _NewClient(error.str())
        self._reasons.append(error.str())

    def _say(self, reason: str) -> None:
        if not self.trouble:
            log.warning("dashboard.waiting %s", no_answer(self._settings, reason))
        self.trouble = reason

    def _goes_on(self) -> None:
        self._reasons.clear()
        if self.trouble:
            self.trouble = ""
            log.warning("dashboard.goes_on Kafka is back")


class _NewClient(Exception):
    """This client is of no use any more."""


def _poll(consumer: Consumer) -> list[Message]:
    """Return what there is as soon as there is something."""
    try:
        first = consumer.poll(_POLL_S)
        return [] if first is None else [first, *consumer.consume(_MOST, 0)]
    except KafkaException as error:
        if next_step(cause_of(error)) is NextStep.NEW_CLIENT:
            raise _NewClient(cause_of(error).str()) from error
        time.sleep(_AGAIN_S)
        return []
