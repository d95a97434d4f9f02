"""Random streams, losses, re-sends and restarts: the finaliser says what a plain loop over the log says."""

from __future__ import annotations

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbus.kafka.model import StreamId
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import EpisodeFinalized
from tests.faults.reference import Reference, finalised
from tests.unit.episodes.happenings import POLICY, Happening, random_history
from tests.unit.episodes.history import EpisodesSetup


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
    history = random_history(seed)
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
    history = random_history(seed)
    without, restarted = _run(history), _run(history, random.Random(seed), restarts)
    assert restarted.emitted == without.emitted
    assert restarted.refused_steps == without.refused_steps


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_the_reference_reads_a_whole_log(seed: int) -> None:
    """Given the log and the FINISHED events at once, with their times, it says what a core that reads along says."""
    history, now_ms = random_history(seed), EpisodesSetup().now_ms
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
