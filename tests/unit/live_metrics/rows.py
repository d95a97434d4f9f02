"""Batches from rows, a core to call, and what streams should come to: shared by the tests of live metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from runbus.kafka.model import StreamId
from runbus.live_metrics import LiveMetricsCore
from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns
from runbus.schemas.events import LiveMetrics, RunEvent
from runbus.streams.api import At, Effects

START_MS = 1_800_000_000_000
START_US = START_MS * 1000
SOURCE = "runbus.steps:3"
STREAM = StreamId("run", "agent", 7)


class Row(NamedTuple):
    """One row; `ts` in microseconds after START_US."""

    step: int = 1
    reward: float = 1.0
    ts: int = 0
    episode: int = 0
    env: int = 0
    terminated: int = 0
    truncated: int = 0


def batch(rows: Sequence[Row], first_seq: int = 0, *, stream: StreamId = STREAM, dropped: int = 0) -> StepBatch:
    """Return the rows as one batch, with arrays that are read-only as those of a record."""
    columns = [np.array(values) for values in zip(*rows, strict=True)]
    types = {
        "step": "i4",
        "reward": "f8",
        "ts": "i8",
        "episode": "i8",
        "env": "i4",
        "terminated": "u1",
        "truncated": "u1",
    }
    named = {name: np.frombuffer(c.astype(t).tobytes(), t) for (name, t), c in zip(types.items(), columns, strict=True)}
    named["ts"] = named["ts"] + START_US
    header = BatchHeader(*stream, first_seq, len(rows), dropped, 0)
    return StepBatch(header, StepColumns(**named))


def finished(stream: StreamId = STREAM) -> RunEvent:
    """Return the FINISHED event of a stream."""
    return RunEvent(
        run_id=stream.run_id, agent_id=stream.agent_id, attempt=stream.attempt, kind="FINISHED", sent_at=0, started_at=0
    )


@dataclass
class Caller:
    """Calls a core as the shell does; time stands still until it is moved."""

    core: LiveMetricsCore = field(default_factory=lambda: LiveMetricsCore(SOURCE))
    offset: int = 0
    watermark_ms: int = START_MS
    now_us: int = START_US
    state: dict[bytes, bytes] = field(default_factory=dict)
    ends: list[tuple[RunEvent, int]] = field(default_factory=list)

    def send(self, value: StepBatch) -> list[LiveMetrics]:
        """Apply a batch; return what the core says."""
        self.offset += 1
        return _events(self.core.apply(value, At(self.offset - 1, self.watermark_ms, self.now_us)))

    def rows(self, rows: Sequence[Row], first_seq: int = 0) -> list[LiveMetrics]:
        """Apply rows of STREAM."""
        return self.send(batch(rows, first_seq))

    def end(self, stream: StreamId = STREAM) -> list[LiveMetrics]:
        """Let a FINISHED event arrive that was appended now."""
        self.ends.append((finished(stream), self.watermark_ms))
        return _events(self.core.end(finished(stream), self.watermark_ms, self._at()))

    def wait(self, ms: int) -> list[LiveMetrics]:
        """Let stream time and real time pass."""
        self.watermark_ms += ms
        return self.backlog(ms)

    def backlog(self, ms: int) -> list[LiveMetrics]:
        """Let real time pass only, as while the app is behind."""
        self.now_us += ms * 1000
        return _events(self.core.tick(self._at()))

    def commit(self) -> None:
        """Take the changes over into the state."""
        for change in self.core.changes():
            if change.value is None:
                self.state.pop(change.key, None)
            else:
                self.state[change.key] = change.value

    def restart(self, **options: int) -> None:
        """Go on with a new core: commit, restore, and the ends again."""
        self.commit()
        self.core = LiveMetricsCore(SOURCE, **options)
        for key, value in reversed(self.state.items()):
            self.core.restore(key, value)
        for event, appended_ms in self.ends:
            self.core.end(event, appended_ms, self._at())

    def _at(self) -> At:
        return At(self.offset, self.watermark_ms, self.now_us)


def _events(effects: Effects) -> list[LiveMetrics]:
    assert not effects.refused
    return [e.event for e in effects.emissions if isinstance(e.event, LiveMetrics)]
