"""Keeps one stream: exact totals, which are state, and windows, which are not."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.model import StreamId
from runbus.live_metrics.episode_rows import episode_rows
from runbus.live_metrics.measure import Values
from runbus.live_metrics.running_episodes import REASONS, RunningEpisodes
from runbus.live_metrics.windows import NewRows, Windows
from runbus.schemas.batch import StepBatch, StepColumns
from runbus.schemas.events import LiveMetrics
from runbus.schemas.sequence import SequenceTracker
from runbus.streams.api import At

NOT_FINISHED = -1
#: Times of steps are taken as if within 0 to this (microseconds): a window's start must fit a long.
_MAX_TS = 2**62

_VERSION = 1
# The head of a value of the state, in the order of `LiveStream.encode`; what was received and the environments follow.
_HEAD = struct.Struct(f"<B6q?dq{len(REASONS)}qI")


@dataclass(slots=True, eq=False)
class LiveStream:
    """One stream.

    Attributes:
        id: its run, agent and attempt.
        received: which seq arrived.
        running: its episodes.
        windows: of the newest minute.
        steps: rows that are no reset.
        dropped: the highest count of dropped steps in a header of the recorder.
        newest_ts: the greatest time of a row, microseconds by the agent's clock.
        last_offset: of the last record that brought something new.
        last_ms: stream time of that record.
        finished_ms: stream time when it finished, or NOT_FINISHED.
        silent: it had no such record for a while; its rate is 0.
        came_us, gap_us: when something new came last, and how long after the one before (wall clock).
        sent_us: when its metrics were emitted last (wall clock).
        entry, awaited: for `EmissionSchedule`: its entry in the queue, 0 = none; whether it is due and waits for its
            next batch.
    """

    id: StreamId
    received: SequenceTracker = field(default_factory=SequenceTracker)
    running: RunningEpisodes = field(default_factory=RunningEpisodes)
    windows: Windows = field(default_factory=Windows)
    steps: int = 0
    dropped: int = 0
    newest_ts: int = 0
    last_offset: int = -1
    last_ms: int = 0
    finished_ms: int = NOT_FINISHED
    silent: bool = False
    came_us: int = 0
    gap_us: int = 0
    sent_us: int | None = None
    entry: int = 0
    awaited: bool = False

    def take(self, batch: StepBatch, fresh: NDArray[np.bool_] | None, at: At) -> tuple[int, int]:
        """Take the rows of a batch that had not arrived before, at least one (`fresh` None = all).

        Returns:
            How many rows were too old for the running window of 1 s, and how many environments were forgotten.
        """
        with np.errstate(all="ignore"):  # rewards may be infinite, NaN, or too large to be squared
            ended, forgotten = self.running.take(episode_rows(batch.columns, fresh))
            rows = _rows(batch.columns, fresh)
            late = self.windows.add(rows, ended, at.watermark_ms)
        self.steps += len(rows.rewards.array)
        self.dropped = max(self.dropped, batch.header.dropped)
        self.newest_ts = max(self.newest_ts, rows.newest)
        self.last_offset, self.last_ms, self.silent = at.offset, at.watermark_ms, False
        self.came_us, self.gap_us = at.now_us, at.now_us - self.came_us
        return late, forgotten

    def finish(self, at: At) -> bool:
        """Interrupt the running episodes; return whether one ended that had a step."""
        self.finished_ms = at.watermark_ms
        ended = self.running.interrupt(self.newest_ts)
        if ended:
            nothing = Values.of(np.empty(0))
            now = NewRows(np.full(1, self.newest_ts), self.newest_ts, self.newest_ts, np.zeros(1, np.bool_), nothing)
            with np.errstate(all="ignore"):
                self.windows.add(now, ended, at.watermark_ms)
        return bool(ended)

    def metrics(self, sent_at: int, positions: dict[str, int]) -> LiveMetrics:
        """Return the metrics of the stream now.

        Args:
            sent_at: microseconds since the epoch.
            positions: next offset by "<topic>:<partition>".
        """
        running = self.running
        return LiveMetrics(
            run_id=self.id.run_id,
            agent_id=self.id.agent_id,
            attempt=self.id.attempt,
            sent_at=sent_at,
            newest_ts=self.newest_ts,
            steps=self.steps,
            steps_per_second=0.0 if self.silent else self.windows.steps_per_second(),
            episodes=sum(running.reasons),
            last_return=running.last_return,
            running_return=running.return_,
            last_length=running.last_length,
            running_length=running.length,
            dropped=self.dropped,
            reasons=dict(zip(REASONS, running.reasons, strict=True)),
            positions=positions,
            windows=self.windows.now(),
        )

    def encode(self) -> bytes:
        """Return everything but the windows as bytes."""
        received = self.received.encode()
        head = _HEAD.pack(
            _VERSION,
            self.steps,
            self.dropped,
            self.newest_ts,
            self.last_offset,
            self.last_ms,
            self.finished_ms,
            self.silent,
            self.running.last_return,
            self.running.last_length,
            *self.running.reasons,
            len(received),
        )
        return head + received + self.running.encode()

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> LiveStream:
        """Return the stream of one entry of the state. Raises ValueError if it is none."""
        if len(value) < _HEAD.size or value[0] != _VERSION:
            raise ValueError(f"{key!r}: {len(value)} bytes that begin with {value[:1]!r} are no state of live metrics")
        run_id, agent_id, attempt = key.decode().split("/")
        stream = cls(StreamId(run_id, agent_id, int(attempt)))
        _, stream.steps, stream.dropped, stream.newest_ts, *rest = _HEAD.unpack_from(value)
        stream.last_offset, stream.last_ms, stream.finished_ms, stream.silent, *rest = rest
        stream.running.last_return, stream.running.last_length, *reasons, length = rest
        stream.running.reasons = reasons
        body = value[_HEAD.size :]
        stream.received = SequenceTracker.decode(body[:length])
        stream.running.restore(body[length:])
        return stream


def _rows(columns: StepColumns, fresh: NDArray[np.bool_] | None) -> NewRows:
    ts, step, reward = columns.ts, columns.step, columns.reward
    if fresh is not None:
        ts, step, reward = ts[fresh], step[fresh], reward[fresh]
    oldest, newest = int(ts.min()), int(ts.max())
    if oldest < 0 or newest > _MAX_TS:
        ts = np.clip(ts, 0, _MAX_TS)
        oldest, newest = int(ts.min()), int(ts.max())
    if np.count_nonzero(step) == len(step):
        return NewRows(ts, oldest, newest, None, Values.of(reward.copy() if fresh is None else reward))
    stepped = step != 0
    return NewRows(ts, oldest, newest, stepped, Values.of(reward[stepped]))
