"""Reads the steps of a run from Kafka, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import STEPS
from runbus.reader.events import At
from runbus.reader.steps import Steps
from runbus.replay.errors import RunChanged
from runbus.replay.rows import StepRows
from runbus.replay.run_index import Entry, EntryReader, Indexer, Lane
from runbus.replay.store import BLOCK_BYTES, BLOCK_STEPS, RunBlock
from runbus.schemas.batch import decode
from runbus.schemas.codec import Codec


class LogStore:
    """The steps of one run in the log; see store.RunStore. A lane is a partition.

    Args:
        settings: of the broker.
        codec: of the values.
        run: name of the run.
        agent: only this one; None = all.
        bounds: of another store, to open the same; None = as the log is now.

    Raises:
        NoSuchRun, RunChanged, RunBusError
    """

    def __init__(
        self, settings: KafkaSettings, codec: Codec, run: str, agent: str | None, bounds: Mapping[str, Any] | None
    ) -> None:
        indexer = Indexer(settings, codec)
        known = None if bounds is None else {int(p): (low, end) for p, (low, end) in bounds["offsets"].items()}
        self._index = indexer.index(run, agent, known)
        if bounds is not None and bounds["topic_id"] != self._index.topic_id:
            raise RunChanged(f"{settings.topic_prefix}{STEPS.name} was created anew: begin without the state")
        self._codec = codec
        self._lanes = [lane for lane in self._index.lanes if lane.entries]
        self.blocks = [block for number, lane in enumerate(self._lanes) for block in _blocks(number, lane)]
        self._opened = ExitStack()
        self._log = self._opened.enter_context(open_topic(settings, STEPS, indexer.group))
        self._reader: tuple[int, EntryReader] | None = None

    @property
    def bounds(self) -> dict[str, Any]:
        """See store.RunStore."""
        offsets = {str(lane.partition): [lane.start, lane.end] for lane in self._index.lanes}
        return {"topic_id": self._index.topic_id, "offsets": offsets}

    def read(self, block: RunBlock) -> list[StepRows]:
        """Return the steps of a block; see store.RunStore."""
        lane = self._lanes[block.lane]
        if self._reader is None or self._reader[0] != block.lane:
            self._reader = (block.lane, EntryReader(self._log, lane.partition, lane.end))
        reader = self._reader[1]
        return [part for entry in lane.entries[block.first : block.last] for part in self._steps(lane, reader, entry)]

    def close(self) -> None:
        """Let go of the connection."""
        self._opened.close()

    def _steps(self, lane: Lane, reader: EntryReader, entry: Entry) -> list[StepRows]:
        message = reader.read(entry)
        if message is None:
            raise RunChanged(
                f"{self._log.name}:{lane.partition}: the record at {entry.offset} was deleted by retention meanwhile: "
                "begin without the state"
            )
        writer, body = self._codec.open(message.value(), "StepBatch")
        at = At(self._log.name, lane.partition, entry.offset, message.timestamp()[1], message.key() or b"")
        steps = Steps(at, decode(body, writer))
        if entry.fresh is None:
            return [StepRows.of(steps)]
        return [StepRows.of(replace(steps, batch=steps.batch.slice(*rows))) for rows in entry.fresh]


def _blocks(number: int, lane: Lane) -> list[RunBlock]:
    found: list[RunBlock] = []
    first = steps = size = 0
    for index, entry in enumerate(lane.entries):
        if index > first and (steps + entry.steps > BLOCK_STEPS or size + entry.size > BLOCK_BYTES):
            found.append(RunBlock(number, first, index, steps))
            first, steps, size = index, 0, 0
        steps += entry.steps
        size += entry.size
    return [*found, RunBlock(number, first, len(lane.entries), steps)]
