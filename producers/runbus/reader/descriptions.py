"""Looks up what a recorder said of its stream: the event of `runs` that has its config and spaces."""

from __future__ import annotations

from typing import Protocol

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.kafka.partitioner import partition_of
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import RUNS, run_event_key
from runbus.reader.events import KINDS, At, RunFinished, RunStarted
from runbus.reader.plan import Plan
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema

_KNOWN = 1_000  # streams; each has a config of up to half a megabyte


class OfAStream(Protocol):
    """An event of a stream."""

    @property
    def run_id(self) -> str:
        """Name of the run."""

    @property
    def agent_id(self) -> str:
        """Name of the agent."""

    @property
    def attempt(self) -> int:
        """Which recording of the agent."""


class Descriptions:
    """Keeps what was found; reads one partition of `runs` for a stream that is not known yet.

    STARTED and FINISHED say the same here, so the first of them is enough, and compaction takes nothing away.
    """

    def __init__(self, plan: Plan, codec: Codec) -> None:
        self._plan = plan
        self._codec = codec
        self._known: dict[StreamId, RunStarted | RunFinished] = {}

    def find(self, stream: StreamId) -> RunStarted | RunFinished | None:
        """Return the event of a stream; None if the log has none. Raises RunBusError if it cannot be read."""
        known = self._known.get(stream)
        if known is None:
            known = self._read(stream)
            if known is not None:
                if len(self._known) >= _KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[stream] = known
        return known

    def _read(self, stream: StreamId) -> RunStarted | RunFinished | None:
        key = run_event_key(*stream)
        with open_topic(self._plan.settings.kafka, RUNS, self._plan.membership.group) as log:
            partition = partition_of(key, len(log.partitions))
            low, end = log.bounds(partition)
            for message in log.walk(partition, low).below(end):
                if message.key() == key:
                    at = At(log.name, partition, message.offset() or 0, message.timestamp()[1], key)
                    found = self._decoded(at, message.value())
                    if found is not None:
                        return found
        return None

    def _decoded(self, at: At, value: bytes | str | None) -> RunStarted | RunFinished | None:
        kind = KINDS[RUNS.name]
        try:
            writer, body = self._codec.open(value if isinstance(value, bytes) else None, kind.schema)
            event = kind.make(at, body, writer)
        except (InvalidValue, UnknownSchema):
            return None
        return event if isinstance(event, RunStarted | RunFinished) else None
