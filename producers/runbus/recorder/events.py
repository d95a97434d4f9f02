"""Defines the events that recorders publish: the start of a stream, closed batches of steps, its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.topics import STEPS, Topic
from runbus.recorder.columns import FACTS, Block, BlockNotes, StepRows, columns_of_blocks, columns_of_rows, large_seeds
from runbus.recorder.counts import Kept, StreamCounts
from runbus.recorder.logged import extras_of
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.recorder.row_words import RowWords, WordsOfRows
from runbus.recorder.size_limits import run_event_within
from runbus.schemas.batch import BatchHeader, StepBatch
from runbus.schemas.events import Outcome, RunEvent
from runbus.schemas.layout import NONE, Layout


@dataclass(slots=True)
class StepsRecorded:
    """Consecutive steps of one stream, as they are recorded. The stream fills it, closes it and publishes it.

    Attributes:
        counts: of the stream.
        first_seq: seq of its first step; known when it is closed.
        observation: layout of its observations.
        action: layout of its actions; None = no row has one yet: a reset fits any action's layout.
        rows, blocks: either rows of single steps, or blocks of a vector environment.
        count: steps in it.
        seeds, infos, extras: by index of the row in the batch; extras by name first.
        extra_columns: extras of vector calls, by name: index of a block's first row, and a number for each of its rows.
        logged: numbers that were logged before a row: index of the row, name, number; in the order of the rows.
        words: what else is said about rows.
        nbytes: bytes of actions and observations while it is filled, then the memory that it holds, roughly.
        closed_at: monotonic seconds; 0 = it is being filled.
        settled: its steps were written to the log or counted as dropped.
        journal: has all of its rows; None = memory alone has them.
    """

    TOPIC: ClassVar[Topic] = STEPS

    counts: StreamCounts
    first_seq: int = 0
    observation: Layout = NONE
    action: Layout | None = None
    rows: StepRows = field(default_factory=StepRows)
    blocks: list[Block] = field(default_factory=list)
    count: int = 0
    seeds: dict[int, int] = field(default_factory=dict)
    infos: dict[int, str] = field(default_factory=dict)
    extras: dict[str, dict[int, float]] = field(default_factory=dict)
    extra_columns: dict[str, list[tuple[int, NDArray[np.float64]]]] = field(default_factory=dict)
    logged: list[tuple[int, str, float]] = field(default_factory=list)
    words: WordsOfRows = field(default_factory=WordsOfRows)
    nbytes: int = 0
    closed_at: float = 0.0
    settled: bool = False
    journal: Kept | None = None

    def note(self, first: int, notes: BlockNotes) -> None:
        """Take what is said about the rows of a block that begins at row `first`."""
        self.seeds |= {first + row: seed for row, seed in notes.seeds.items()}
        self.infos |= {first + row: info for row, info in notes.infos.items()}
        self.words.absent |= {first + row: bits for row, bits in notes.absent.items()}
        for row, labels in notes.labels.items():
            self.words.take(first + row, RowWords(labels=labels))
        for name, numbers in notes.extras.items():
            self.extra_columns.setdefault(name, []).append((first, numbers))
        for name, rows in notes.marks.items():
            self.extras.setdefault(name, {}).update({first + row: value for row, value in rows.items()})

    def cut_to_count(self) -> None:
        """Take back what a row or block that is not counted has left here."""
        rows, kept, blocks = self.rows, 0, 0
        while blocks < len(self.blocks) and kept < self.count:
            kept += self.blocks[blocks].size
            blocks += 1
        del self.blocks[blocks:]
        single = 0 if self.blocks else self.count
        del rows.facts[single * FACTS.size :], rows.actions[single:], rows.observations[single:]
        self.seeds = {i: seed for i, seed in self.seeds.items() if i < self.count}
        self.infos = {i: info for i, info in self.infos.items() if i < self.count}
        extras = {name: {i: v for i, v in rows.items() if i < self.count} for name, rows in self.extras.items()}
        self.extras = {name: values for name, values in extras.items() if values}
        columns = {name: [c for c in of if c[0] < self.count] for name, of in self.extra_columns.items()}
        self.extra_columns = {name: of for name, of in columns.items() if of}
        self.logged = [one for one in self.logged if one[0] < self.count]
        self.words.cut_to(self.count)

    def batch(self, *, sent_at: int = 0) -> StepBatch:
        """Return the wire's batch, in columns (transposed at each call). `sent_at` is microseconds."""
        id_, action, infos = self.counts.id, self.action or NONE, self.infos
        header = BatchHeader(
            run_id=id_.run_id,
            agent_id=id_.agent_id,
            attempt=id_.attempt,
            first_seq=self.first_seq,
            count=self.count,
            dropped=self.counts.dropped,
            sent_at=sent_at,
            action=action,
            observation=self.observation,
        )
        if self.blocks:
            columns, actions, observations = columns_of_blocks(self.blocks, action, self.observation, self.seeds)
        else:
            columns, actions, observations = columns_of_rows(self.rows, action, self.observation, self.seeds)
        return StepBatch(
            header=header,
            columns=replace(columns, **self.words.columns(self.count)),
            action=actions,
            observation=observations,
            extras=extras_of(self.extras, self.logged, self.extra_columns),
            info=tuple(infos.get(i, "") for i in range(self.count)) if infos else (),
            large_seeds=large_seeds(self.seeds, self.count),
            labels=self.words.label_columns(),
            stop=self.words.stops(self.count),
        )


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """A stream begins."""

    counts: StreamCounts
    event: RunEvent


@dataclass(frozen=True, slots=True)
class StreamFinished:
    """A stream ended. Its counts are final once every step and every value of it is delivered or dropped.

    Attributes:
        metrics: counts of its metrics and scores; None = it has none.
    """

    counts: StreamCounts
    event: RunEvent
    outcome: Outcome
    error: str
    episodes: int
    summary: str
    produced: int
    logged: Mapping[str, list[float]] = field(default_factory=dict)
    metrics: StreamCounts | None = None

    @property
    def in_flight(self) -> int:
        """Published steps and values that are neither delivered nor dropped yet."""
        return self.counts.in_flight + (self.metrics.in_flight if self.metrics else 0)

    def final(self, now_us: int) -> RunEvent:
        """Return the event with the counts of this moment, within the size of a Kafka record."""
        event = replace(
            self.event,
            kind="FINISHED",
            sent_at=now_us,
            produced=self.produced,
            dropped=self.counts.dropped,
            episodes=self.episodes,
            outcome=self.outcome,
            error=self.error,
            summary=self.summary,
            logged=self.logged,
            metrics=self.metrics.produced if self.metrics else 0,
            metrics_dropped=self.metrics.dropped if self.metrics else 0,
        )
        return run_event_within(event)


#: consecutive rows of a stream, on their way to the topic that they name
RowsRecorded = StepsRecorded | MetricsRecorded
RecorderEvent = StreamStarted | RowsRecorded | StreamFinished
