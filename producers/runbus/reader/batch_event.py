"""Defines what events of batches have in common: consecutive rows of one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.model import StreamId
from runbus.reader.events import At, LogEvent


@dataclass(frozen=True)
class BatchEvent(LogEvent):
    """Consecutive rows of one stream; every array has one row each, (count,) or (count, *shape).

    Arrays are read-only views of the decoded record: nothing is copied or cast, by whatever attribute.

    Attributes:
        at: where the record lies.
        batch: what it holds, as it came.
        gap: the first and the last seq that are missing in front of it; None = none.
        newly_dropped: how many rows the recorder gave up since the stream's record before.
        late: these rows fill a gap that was reported before.
    """

    at: At
    batch: Any
    gap: tuple[int, int] | None = None
    newly_dropped: int = 0
    late: bool = False

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return str(self.batch.header.run_id)

    @property
    def attempt(self) -> int:
        """Which recording it is: its start in microseconds."""
        return int(self.batch.header.attempt)

    @property
    def stream(self) -> StreamId:
        """Run, agent (or source) and attempt."""
        header = self.batch.header
        return StreamId(header.run_id, header.agent_id, header.attempt)

    @property
    def first_seq(self) -> int:
        """seq of the first row; the others follow without a gap."""
        return int(self.batch.header.first_seq)

    @property
    def last_seq(self) -> int:
        """seq of the last row."""
        return int(self.batch.header.next_seq) - 1

    @property
    def dropped(self) -> int:
        """How many rows the stream gave up until here, in all."""
        return int(self.batch.header.dropped)

    def __len__(self) -> int:
        return int(self.batch.header.count)

    @property
    def seq(self) -> NDArray[np.int64]:
        """seq of each row."""
        return np.arange(self.first_seq, self.last_seq + 1)
