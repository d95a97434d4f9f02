"""Defines what a Source reads from: blocks of steps in lanes, each of which can be read again, alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from runbus.replay.rows import StepRows

#: A block ends past these: what is held of it in memory, and what a resumed Source reads again.
BLOCK_STEPS = 65_536
BLOCK_BYTES = 8 * 1024 * 1024


class RunBlock(NamedTuple):
    """A part of a lane.

    Attributes:
        lane: whose part: a partition of the log, or a stream. Streams do not change lanes.
        first, last: where it begins and ends, as the store counts.
        steps: how many it has.
    """

    lane: int
    first: int
    last: int
    steps: int


class RunStore(Protocol):
    """The steps of one run as they were when it was opened."""

    @property
    def blocks(self) -> Sequence[RunBlock]:
        """All blocks, lane by lane; within a stream they are in the order of its seq."""

    @property
    def bounds(self) -> Any:  # noqa: ANN401 - any JSON
        """What opens the same again, as JSON."""

    def read(self, block: RunBlock) -> list[StepRows]:
        """Return the steps of a block, in order, each part of one stream and one layout.

        Raises:
            RunChanged: some of them are not there any more.
            RunBusError: the store cannot be read.
        """

    def close(self) -> None:
        """Let go of the connections."""
