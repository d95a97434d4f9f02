"""Says in which order the blocks of a run are read in an epoch, and in which order what they hold is handed out.

All of it follows from the seed and the number of the epoch, so a Source that goes on later has the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runbus.replay.store import RunBlock


@dataclass(frozen=True, slots=True)
class Shuffle:
    """How an epoch is mixed.

    Attributes:
        window: how many steps, or episodes, are mixed at a time; 0 = nothing is.
        seed: of everything random.
        epoch: its number.
    """

    window: int
    seed: int
    epoch: int

    def blocks(self, blocks: Sequence[RunBlock]) -> list[int]:
        """Return the order of blocks that can be read alone: any."""
        if not self.window:
            return list(range(len(blocks)))
        order: list[int] = self._rng().permutation(len(blocks)).tolist()
        return order

    def lanes(self, blocks: Sequence[RunBlock]) -> list[int]:
        """Return the order of blocks whose lanes have to be read from end to end: lane after lane, the lanes in any."""
        lanes = np.array(sorted({block.lane for block in blocks}), np.int64)
        if self.window:
            self._rng().shuffle(lanes)
        place = {lane: number for number, lane in enumerate(lanes.tolist())}
        return sorted(range(len(blocks)), key=lambda index: (place[blocks[index].lane], index))

    def pools(self, order: Sequence[int], blocks: Sequence[RunBlock]) -> list[list[int]]:
        """Return the blocks that are mixed with each other: in order, until they have as many steps as the window."""
        pools: list[list[int]] = []
        steps = 0
        for index in order:
            if not pools or not self.window or steps >= self.window:
                pools.append([])
                steps = 0
            pools[-1].append(index)
            steps += blocks[index].steps
        return pools

    def rows(self, count: int, *numbers: int) -> NDArray[np.int64]:
        """Return the order of `count` things of the pool or window of these numbers."""
        if not self.window:
            return np.arange(count)
        return self._rng(*(number + 1 for number in numbers)).permutation(count)

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.epoch, *numbers])
