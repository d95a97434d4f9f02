"""Records lines of a dialect on a bus, and reads what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runbus.ingest.acts import Act, Defaults, Dialect
from runbus.ingest.lines import Line
from runbus.ingest.reading import Read, Reading
from runbus.ingest.recordings import Made, Recordings, recorder_of
from runbus.recorder import RunBus
from runbus.recorder.events import StreamFinished, StreamStarted
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas import metric_batch
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import RunEvent
from tests.support.recorded_metrics import Value, values_of
from tests.support.recorded_rows import RecordedRow, batches_of, rows_of


@dataclass
class KeptLetters:
    """Letters as a list."""

    letters: list[tuple[int, str, bytes]] = field(default_factory=list)

    def put(self, line: Line, _source: str, why: str, /) -> None:
        """Take a line."""
        self.letters.append((line.number, why, line.data))


class Ingested:
    """What acts become on a bus."""

    def __init__(self) -> None:
        bus = RunBus()
        self._subscription = bus.subscribe("test", max_events=10_000_000, max_bytes=1_000_000_000)
        self.recordings = Recordings(partial(recorder_of, bus=bus, kafka=False))
        self.letters = KeptLetters()
        self._events: list[Any] = []

    @property
    def made(self) -> Made:
        """What was counted."""
        return self.recordings.made

    def close(self, outcome: Any = "completed", error: str = "") -> None:
        """End the streams and take what was published."""
        self.recordings.close(outcome, error)
        self._events += self._subscription.get_many(10_000_000)

    @property
    def batches(self) -> list[StepBatch]:
        """All batches."""
        return batches_of(self._events)

    def rows(self, agent: str = "agent-0") -> list[RecordedRow]:
        """Return the rows of an agent, its attempts one behind the other."""
        return [row for batch in self.batches if batch.header.agent_id == agent for row in rows_of(batch)]

    def attempts(self, agent: str = "agent-0") -> list[list[RecordedRow]]:
        """Return the rows of an agent by attempt."""
        found: dict[int, list[RecordedRow]] = {}
        for batch in self.batches:
            if batch.header.agent_id == agent:
                found.setdefault(batch.header.attempt, []).extend(rows_of(batch))
        return list(found.values())

    @property
    def started(self) -> list[RunEvent]:
        """The starts."""
        return [event.event for event in self._events if isinstance(event, StreamStarted)]

    @property
    def ends(self) -> list[tuple[str, str]]:
        """Outcome and error of each stream."""
        return [(event.outcome, event.error) for event in self._events if isinstance(event, StreamFinished)]

    @property
    def values(self) -> list[Value]:
        """Metrics and scores, in order."""
        found = [event for event in self._events if isinstance(event, MetricsRecorded)]
        return [value for one in found for value in values_of(metric_batch.decode(metric_batch.encode(one.batch())))]


def ingested(
    make: Callable[[Defaults], Dialect],
    sources: Mapping[str, bytes] | Iterable[Mapping[str, Any]],
    *,
    limit: int = 1_000_000,
    prints: bool = False,
    chunk: int = 1 << 20,
    **defaults: Any,
) -> tuple[Ingested, Read]:
    """Record sources: bytes by name, or documents.

    Args:
        chunk: bytes that are read at a time.
    """
    if not isinstance(sources, Mapping):
        sources = {"": b"".join(json.dumps(one).encode() + b"\n" for one in sources)}
    found = Ingested()
    dialect = make(Defaults(**{"run": "run-1", **defaults}))
    reading = Reading(dialect, found.recordings, found.letters, limit, prints=prints)
    for name, content in sources.items():
        reading.begin(name)
        for at in range(0, len(content), chunk):
            reading.feed(content[at : at + chunk])
        reading.end()
    found.close(dialect.unended)
    return found, reading.read


def recorded(acts: Iterable[Act]) -> Ingested:
    """Record acts."""
    found = Ingested()
    for act in acts:
        found.recordings.take(act)
    found.close()
    return found
