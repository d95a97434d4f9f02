"""Random histories of one partition: streams with losses, re-sends, late batches, ends and silences."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.model import StreamId
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import RunEvent
from tests.unit.episodes.history import Row, batch, finished

POLICY = FinaliserPolicy(idle_ms=3000, grace_ms=1000, remember_ms=20_000)


class Happening(NamedTuple):
    """Something that reaches a core: a batch, a FINISHED event or nothing, after some time."""

    wait_ms: int
    what: StepBatch | RunEvent | None


def _rows(chance: random.Random, envs: int, count: int) -> Iterator[Row]:
    """Yield rows as a recorder writes them: of one environment, or of a vector with next-step autoreset."""
    episodes, steps, over = [-1] * envs, [0] * envs, [True] * envs
    for index in range(count):
        env = index % envs
        if over[env] or chance.random() < 0.03:  # a loop may reset before the end
            episodes[env] += 1
            steps[env], over[env] = 0, False
            labels = (("task", chance.choice(["sort", "größe"])),) if chance.random() < 0.5 else ()
            yield Row(env, episodes[env], 0, labels=labels)
            continue
        steps[env] += 1
        terminated, truncated = chance.random() < 0.08, chance.random() < 0.05
        over[env] = terminated or truncated
        extra = chance.choice([None, None, 0.5, -1.5])
        reward = chance.randrange(-4, 5) / 2
        # other programs may say words at any row, and change their minds
        said = ((chance.choice(["task", "late", ""]), chance.choice("ab")),) if chance.random() < 0.1 else ()
        stop = chance.choice(["max_turns", "done"]) if over[env] or chance.random() < 0.05 else ""
        yield Row(env, episodes[env], steps[env], reward, terminated, truncated, extra, said, stop, extra == 0.5)


def _delivered(chance: random.Random, rows: list[Row], stream: StreamId) -> list[StepBatch]:
    """Return the batches of a stream in the order of their arrival: some lost, some late, some sent again."""
    batches: list[StepBatch] = []
    first = 0
    while first < len(rows):
        size = chance.choice([1, 2, 3, 7, 20])
        batches.append(batch(rows[first : first + size], first, stream))
        first += size
    arrived = []
    faults = chance.choice([0.0, 0.05, 0.2])
    for index, one in enumerate(batches):
        order = float(index)
        if chance.random() < faults:
            if chance.random() < 0.4:
                continue
            order += chance.choice([1.5, 3.5, 12.5])
        arrived.append((order, one))
        if chance.random() < faults:
            arrived.append((order + chance.choice([0.2, 5.2]), one))
            low = one.header.first_seq
            arrived.append((order + 2.3, batch(rows[max(0, low - 2) : low + 3], max(0, low - 2), stream)))
    return [one for _, one in sorted(arrived, key=lambda item: item[0])]


def random_history(seed: int) -> list[Happening]:
    """Return what reaches the partition, in order."""
    chance = random.Random(seed)
    queues: list[list[StepBatch | RunEvent | None]] = []
    for agent in range(chance.choice([1, 1, 2])):
        for attempt in range(chance.choice([1, 1, 2])):
            stream = StreamId("run", f"agent-{agent}", attempt + 1)
            rows = list(_rows(chance, chance.choice([1, 1, 2, 8]), chance.randrange(1, 120)))
            queue: list[StepBatch | RunEvent | None] = [*_delivered(chance, rows, stream)]
            if chance.random() < 0.6:
                queue.insert(chance.choice([0, len(queue), len(queue) // 2]), finished(len(rows), stream))
            queues.append(queue)
    happenings = []
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])
        wait_ms = chance.choice([0, 0, 10, 200, 900, 1100, 3500]) if chance.random() < 0.3 else 5
        happenings.append(Happening(wait_ms, queue.pop(0)))
        if chance.random() < 0.1:
            happenings.append(Happening(chance.choice([1000, 4000, 25_000]) if chance.random() < 0.3 else 50, None))
    return [*happenings, Happening(10_000, None), Happening(60_000, None)]
