"""Makes the steps of a benchmark: a random walk of four float32 values, in episodes of 200 steps, 50 steps a second."""

import numpy as np

from runbus.kafka.partitioner import partition_of
from runbus.kafka.topics import stream_key
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


def spread_agents(run: str, streams: int, partitions: int) -> list[str]:
    """Return agents whose streams are spread evenly over the partitions."""
    names: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
    number = 0
    while any(len(found) < streams // partitions for found in names.values()):
        names[partition_of(stream_key(run, f"agent-{number}"), partitions)].append(f"agent-{number}")
        number += 1
    return [found[i] for i in range(streams // partitions) for found in names.values()]
