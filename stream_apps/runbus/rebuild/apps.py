"""Computes the results of a stream app again from the log, compares, and resets the app if they differ and it is told.

A running app is ahead of every look at it. So its position is read before its topic and behind it: what it had emitted
at the first must be on the topic, and what is on the topic it must have emitted by the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from runbus.cursors.reading import CursorReader
from runbus.cursors.reset import apply, plan
from runbus.cursors.targets import Target
from runbus.kafka.model import StreamId, TopicPartition
from runbus.kafka.partitioner import partition_of
from runbus.kafka.principals import READERS
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import TopicLog, open_topic, record_position
from runbus.kafka.topics import EPISODES_STATE, LIVE_METRICS_STATE, RUNS, STEPS, Topic, stream_key
from runbus.rebuild.recomputed import Recomputation, StreamEnd, ends_of
from runbus.schemas.codec import Codec
from runbus.streams.api import Core
from runbus.streams.reset import Agent, saved_position
from runbus.streams.shard import SavedPosition, latest

AppKind = Literal["episodes", "live-metrics"]
_STATES: Mapping[AppKind, Topic] = {"episodes": EPISODES_STATE, "live-metrics": LIVE_METRICS_STATE}
Verdict = Literal["missing", "different", "false"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One result that is not what the log asks for.

    Attributes:
        what: `missing`: the app should have said it; `different`: it said something else; `false`: the log does not ask
            for it.
        name: of the result.
        stream: whose.
    """

    what: Verdict
    name: str
    stream: StreamId


@dataclass(slots=True)
class RebuiltApp:
    """What a rebuild found.

    Attributes:
        compared: results that the log asks for.
        left_out: agents whose first records retention has deleted, so that nothing can be said of them.
        differences: what is not as it should be.
        reset: partition -> what became of it, if the app was reset.
    """

    compared: int = 0
    left_out: int = 0
    differences: list[Difference] = field(default_factory=list)
    reset: dict[TopicPartition, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What an app says in one partition, and what was computed.

    Attributes:
        state: at `position`, as its changelog holds it.
        position, later: of the app, before its topic was read and after.
        topic: what the topic holds of the agents of this partition: name -> stream and content.
    """

    state: Mapping[bytes, bytes]
    position: SavedPosition
    later: SavedPosition
    topic: Mapping[str, tuple[StreamId, Any]]


#: Compares one partition: what the app says, the computation, whose streams count. Yields differences; counts results.
Compare = Callable[[Taken, Recomputation, Callable[[StreamId], bool], RebuiltApp], Iterable[Difference]]


class AppRebuild:
    """Rebuilds one app.

    Args:
        settings: of the broker.
        codec: of the values.
        kind: of the app.
        new_core: makes its core, with the settings that the running app has; takes the partition's name.
        topic: reads what its topic holds: (run, agent) -> name -> stream and content.
        compare: of this app.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        codec: Codec,
        kind: AppKind,
        new_core: Callable[[str], Core],
        topic: Callable[[TopicLog, Codec], Iterator[tuple[str, StreamId, Any]]],
        compare: Compare,
    ) -> None:
        self._settings = settings
        self._codec = codec
        self._kind = kind
        self._new_core = new_core
        self._topic = topic
        self._compare = compare
        self._group = settings.topic_prefix + READERS  # it never joins

    def run(self) -> RebuiltApp:
        """Compute and compare. Raises RunBusError."""
        result = RebuiltApp()
        with self._open(STEPS.name) as log, self._open(RUNS.name) as runs:
            before = self._states(log.id)
            said = self._said(len(log.partitions))
            after = self._states(log.id)
            ends: dict[int, list[StreamEnd]] = {}
            for event, appended_ms in ends_of(runs, self._codec):
                key = stream_key(event.run_id, event.agent_id)
                ends.setdefault(partition_of(key, len(log.partitions)), []).append((event, appended_ms))
            for partition, (state, position) in sorted(before.items()):
                core = self._new_core(str(TopicPartition(log.name, partition)))
                computed = Recomputation(log, partition, core, ends.get(partition, ()), self._codec)
                later = after[partition][1] if partition in after else position
                taken = Taken(state, position, later, said.get(partition, {}))
                result.differences += self._compare(taken, computed, _counts(computed), result)
                result.left_out += len(computed.cut_off)
        return result

    def reset(self, result: RebuiltApp, reader: CursorReader) -> None:
        """Reset the app to the beginning of the log, as `runbus cursors reset` does: it then computes all anew.

        Raises GroupActive while it runs, RunBusError.
        """
        planned = plan(reader, self._settings.topic_prefix + self._kind, Target("beginning"))
        result.reset = apply(reader, planned)

    def _open(self, topic: str) -> AbstractContextManager[TopicLog]:
        return open_topic(self._settings, topic, self._group)

    def _states(self, topic_id: str) -> dict[int, tuple[dict[bytes, bytes], SavedPosition]]:
        """Return the state of each partition that the app has taken, and where it stands."""
        found: dict[int, tuple[dict[bytes, bytes], SavedPosition]] = {}
        entries: dict[int, list[tuple[bytes, bytes | None]]] = {}
        with self._open(_STATES[self._kind].name) as log:
            for message in log.records():
                entries.setdefault(record_position(message)[0], []).append((message.key() or b"", message.value()))
        for partition, changes in entries.items():
            state = latest(changes)
            position = saved_position(state, topic_id)
            if position is not None:
                found[partition] = (state, position)
        return found

    def _said(self, partitions: int) -> dict[int, dict[str, tuple[StreamId, Any]]]:
        found: dict[int, dict[str, tuple[StreamId, Any]]] = {}
        with self._open(self._kind) as log:
            for name, stream, content in self._topic(log, self._codec):
                partition = partition_of(stream_key(*stream[:2]), partitions)
                found.setdefault(partition, {})[name] = (stream, content)
        return found


def _counts(computed: Recomputation) -> Callable[[StreamId], bool]:
    """Return whether something can be said of a stream: all records of its agent are in the log."""

    def counts(stream: StreamId) -> bool:
        agent: Agent = stream[:2]
        return agent not in computed.cut_off and (agent in computed.agents or computed.first == 0)

    return counts
