"""Makes the steps of a benchmark: a random walk of four float32 values, in episodes of 200 steps, 50 steps a second."""

import numpy as np

from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns
from runbus.schemas.layout import Layout


def random_walk(run: str, agent: str, first: int, size: int) -> StepBatch:
    """Return `size` steps from `seq` `first` on; the same arguments give the same steps."""
    rng = np.random.default_rng(first)
    seq = np.arange(first, first + size)
    observation = np.cumsum(rng.normal(0, 0.02, (size, 4)), 0).astype("<f4")
    columns = StepColumns(
        env=np.zeros(size, "<i4"),
        episode=(seq // 200).astype("<i8"),
        step=(seq % 200).astype("<i4"),
        ts=(1_790_000_000_000_000 + seq * 20_000 + rng.integers(0, 900, size)).astype("<i8"),
        reward=np.where(seq % 200 == 0, 0.0, -np.abs(observation[:, 0])).astype("<f8"),
        terminated=(seq % 200 == 199).astype("u1"),
        truncated=np.zeros(size, "u1"),
    )
    header = BatchHeader(run, agent, 1, first, size, 0, 1, Layout("<i8", (), 8), Layout("<f4", (4,), 16))
    return StepBatch(header, columns, rng.integers(0, 2, size).astype("<i8").tobytes(), observation.tobytes())
