"""Streams with a journal in a test's folder, without a broker."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from runbus.kafka.model import StreamId
from runbus.recorder.counts import StreamCounts
from runbus.recorder.events import StepsRecorded
from runbus.recorder.journal.folder import segments
from runbus.recorder.journal.journal import Journal
from runbus.recorder.journal.opening import stream_class
from runbus.recorder.journal.reading import Reading
from runbus.recorder.journal.settings import JournalSettings
from runbus.recorder.journal.stream import JournaledStream
from runbus.schemas.events import RunEvent

_attempts = itertools.count(1_000_000)


def started(attempt: int = 7) -> RunEvent:
    """Return the event that begins a stream."""
    return RunEvent(
        run_id="run-1", agent_id="agent-0", attempt=attempt, kind="STARTED", sent_at=attempt, started_at=attempt
    )


def stream_in(folder: Path, mode: str = "step", **options: object) -> tuple[JournaledStream, list[StepsRecorded]]:
    """Return a stream with a journal, and the batches that it publishes."""
    settings = JournalSettings(path=folder, mode=mode, **options)  # type: ignore[arg-type]
    event = started(next(_attempts))
    published: list[StepsRecorded] = []
    id_ = StreamId(event.run_id, event.agent_id, event.attempt)
    stream = stream_class(settings)(id_, "all", published.append)
    stream.journal = stream.counts.journal = Journal.begin(event, settings)
    return stream, published


def step(stream: JournaledStream, value: float = 0.0, info: dict[str, object] | None = None) -> int:
    """Record a step with a small observation."""
    return stream.step(1, value, False, False, np.full(3, value, np.float32), info, 0, None)


def read_back(journal: Path, first: int = 0) -> list[StepsRecorded]:
    """Return the batches of a journal from row `first` on."""
    reading = Reading(StreamCounts(StreamId("run-1", "agent-0", 7)), first)
    return [b for path in segments(journal) for b in reading.batches(path)] + list(reading.rest())


def seqs(batches: list[StepsRecorded]) -> list[int]:
    """Return the seqs of batches, in order."""
    return [seq for batch in batches for seq in range(batch.first_seq, batch.first_seq + batch.count)]
