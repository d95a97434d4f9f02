"""Random streams, losses, re-sends and restarts: the finaliser says what a plain loop over the log says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.model import StreamId
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import EpisodeFinalized, RunEvent
from tests.faults.reference import Reference, finalised
from tests.unit.episodes.history import EpisodesSetup, Row, batch, finished

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


def _history(seed: int) -> list[Happening]:
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


def _run(history: list[Happening], chance: random.Random | None = None, restarts: float = 0.0) -> EpisodesSetup:
    bench = EpisodesSetup(POLICY)
    for wait_ms, what in history:
        if chance is not None and chance.random() < restarts:
            bench.restart()
        bench.wait(wait_ms)
        if isinstance(what, StepBatch):
            bench.take(what)
        elif what is not None:
            bench.finish(what.produced, StreamId(what.run_id, what.agent_id, what.attempt))
        if chance is not None and chance.random() < 0.3:
            bench.commit()
    return bench


def _expected(history: list[Happening]) -> Reference:
    reference = Reference(idle_ms=POLICY.idle_ms, grace_ms=POLICY.grace_ms, remember_ms=POLICY.remember_ms)
    now_ms = EpisodesSetup().now_ms
    for wait_ms, what in history:
        now_ms += wait_ms
        reference.tick(now_ms)
        if isinstance(what, StepBatch):
            reference.apply(what, now_ms)
        elif what is not None:
            reference.end(what, now_ms, now_ms)
    return reference


def _sorted(events: list[EpisodeFinalized]) -> list[EpisodeFinalized]:
    return sorted(events, key=lambda event: (event.id, event.revision))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
@example(37)  # the end of a stream is missing, and its envs have gone on
def test_it_says_what_a_plain_loop_says(seed: int) -> None:
    """Every revision of every episode, what is refused and what is a duplicate equal the reference."""
    history = _history(seed)
    bench, reference = _run(history), _expected(history)
    assert _sorted(bench.emitted) == _sorted(reference.emitted)
    assert bench.refused_steps == reference.refused
    assert bench.core.size()["duplicates"] == reference.duplicates
    for event in bench.emitted:
        assert EpisodeFinalized.decode(event.encode()) == event


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.2, 1.0]))
@example(121, 0.3)  # a gap next to an episode whose rows are not kept any more
def test_restarts_at_any_moment_change_nothing(seed: int, restarts: float) -> None:
    """A core that is restored between any two calls emits what one that never stopped emits, in the same order."""
    history = _history(seed)
    without, restarted = _run(history), _run(history, random.Random(seed), restarts)
    assert restarted.emitted == without.emitted
    assert restarted.refused_steps == without.refused_steps


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_the_reference_reads_a_whole_log(seed: int) -> None:
    """Given the log and the FINISHED events at once, with their times, it says what a core that reads along says."""
    history, now_ms = _history(seed), EpisodesSetup().now_ms
    log, ends = [], []
    for wait_ms, what in history:
        now_ms += wait_ms + 1  # events of two topics have an order only where their times differ
        if isinstance(what, StepBatch):
            log.append((now_ms, what))
        elif what is not None:
            ends.append((now_ms, what))
    reference = Reference(idle_ms=POLICY.idle_ms, grace_ms=POLICY.grace_ms, remember_ms=POLICY.remember_ms)
    bench = _run([Happening(happening.wait_ms + 1, happening.what) for happening in history])
    assert _sorted(finalised(log, ends, now_ms, reference)) == _sorted(bench.emitted)
