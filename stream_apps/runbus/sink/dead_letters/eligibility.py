"""Decides which dead letters may be retried: those whose offset no sink will ever insert again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbus.kafka.commit_metadata import Committed
from runbus.kafka.model import TopicIdPartition, TopicPartition
from runbus.sink.api import Route


@dataclass(frozen=True, slots=True)
class LetterOrigin:
    """The position of a letter's record: `topic` has its prefix; -1 = the record was never in the log."""

    topic: str
    topic_id: str
    partition: int
    offset: int

    @property
    def source(self) -> TopicIdPartition:
        """Its partition."""
        return TopicIdPartition(self.topic, self.topic_id, self.partition)

    @property
    def position(self) -> TopicPartition:
        """Its partition by name."""
        return self.source.position


@dataclass(frozen=True, slots=True)
class RetryEligibility:
    """Decides by the sink's committed offsets.

    Attributes:
        routes: topics that it stores, by full name.
        ids: of the topics that exist, by full name.
        committed: what its group committed; absent = nothing.
    """

    routes: Mapping[str, Route]
    ids: Mapping[str, str]
    committed: Mapping[TopicPartition, Committed | None]

    def obstacle(self, origin: LetterOrigin) -> str:
        """Return why a letter of this record cannot be retried, and what to do; "" = it can."""
        if origin.offset < 0:
            return "the record was never in the log, so it has no position to be stored at"
        route = self.routes.get(origin.topic)
        if route is None or route.wrapped:
            return (
                f"topic {origin.topic} is not one that is stored; RUNBUS_TOPIC_PREFIX is the prefix of those that are"
            )
        return self._other_topic(origin) or self._not_passed(origin)

    def _other_topic(self, origin: LetterOrigin) -> str:
        now = self.ids.get(origin.topic)
        if now == origin.topic_id:
            return ""
        if now is None:
            return f"topic {origin.topic} is gone: `runbus dlq show --raw` saves the bytes"
        return (
            f"topic {origin.topic} was created again ({origin.topic_id or 'no id'} in the letter, {now} now), so where "
            "the sink stands says nothing about this record: `runbus dlq show --raw` saves its bytes"
        )

    def _not_passed(self, origin: LetterOrigin) -> str:
        """Return why a sink may still store the offset; "" = it cannot. Offsets of another topic id do not count."""
        committed = self.committed.get(origin.position)
        if committed is None or (committed.intent is not None and committed.intent.topic_id != origin.topic_id):
            stands = "has not begun with"
        elif committed.offset <= origin.offset:
            stands = f"stands at offset {committed.offset} of"
        else:
            return ""
        return (
            f"the sink {stands} {origin.position} and may still store it: let `runbus sink` run until it is past "
            f"offset {origin.offset}, then retry"
        )
