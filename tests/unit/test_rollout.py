"""`runbus.rollout`: what is recorded of rollouts is what the environments' ledgers say, in whatever form they come."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.recorder import ABSENT, Recorder, RunBus, Subscription
from runbus.recorder.events import StreamFinished
from runbus.rollout import Rollouts
from runbus.rollout.behind import Behind
from runbus.rollout.copies import place_of
from tests.support.played_rollouts import FATES, Ledger, Played, World, acted, without_last
from tests.support.recorded_rows import RecordedRow, batches_of, rows_of

quick = settings(max_examples=60, deadline=None, derandomize=True)
ENVS = 3
#: rollouts of any lengths, whatever happens in them
SCRIPTS = st.lists(
    st.lists(st.lists(st.sampled_from(FATES), min_size=ENVS, max_size=ENVS), min_size=1, max_size=5), max_size=5
)


def following() -> tuple[RunBus, Subscription]:
    """Return a bus and what is published on it."""
    bus = RunBus()
    return bus, bus.subscribe("test", max_events=1_000_000)


def rows(subscription: Subscription) -> list[RecordedRow]:
    """Return the rows that came."""
    return [row for batch in batches_of(subscription.get_many(100_000)) for row in rows_of(batch)]


def ledger_of(found: list[RecordedRow], envs: int = ENVS) -> Ledger:
    """Return rows in the form of a ledger."""
    ledger: Ledger = [[] for _ in range(envs)]
    for row in found:
        if row.step == 0:
            ledger[row.env].append((row.observation, []))
        else:
            ledger[row.env][-1][1].append((row.action, row.reward, *row.over, row.observation))
    return ledger


def same(one: Any, other: Any) -> bool:
    """Whether two ledgers are equal bit for bit."""
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return bool(one is other or one == other)


def recorded(
    script: list[list[list[str]]], record: Callable[[Rollouts, Played], None], **options: Any
) -> tuple[Ledger, list[RecordedRow]]:
    """Play and record a script; return the ledger and the rows."""
    bus, subscription = following()
    world = World(ENVS)
    with Rollouts(envs=ENVS, run="r", bus=bus, kafka=False, **options) as rollouts:
        for steps in script:
            record(rollouts, world.play(steps))
        assert rollouts.not_recorded() == rollouts.recorder.stats()["complaints"] == {}
    return world.ledger, rows(subscription)


@quick
@given(SCRIPTS)
def test_next_observations_give_every_step_its_own(script: list[list[list[str]]]) -> None:
    """TorchRL's and gymnax's form."""
    ledger, found = recorded(script, lambda r, p: r.record(*p.facts, next_observations=p.next_observations))
    assert same(acted(ledger), ledger_of(found))


@quick
@given(SCRIPTS)
def test_last_and_final_observations_give_every_step_its_own(script: list[list[list[str]]]) -> None:
    """A buffer of PPO over environments that keep what an episode ended with."""
    ledger, found = recorded(
        script, lambda r, p: r.record(*p.facts, last=p.last, final_observations=p.next_observations)
    )
    assert same(acted(ledger), acted(ledger_of(found)))


@quick
@given(SCRIPTS)
def test_without_final_observations_those_are_absent(script: list[list[list[str]]]) -> None:
    """Isaac Lab's default, Brax: never the first one of the next episode in its place."""
    ledger, found = recorded(script, lambda r, p: r.record(*p.facts, last=p.last))
    assert same(acted(without_last(ledger)), acted(ledger_of(found)))


@quick
@given(SCRIPTS, st.sets(st.integers(0, ENVS - 1)))
def test_of_environments_that_are_not_observed_the_facts_are_recorded(
    script: list[list[list[str]]], observed: set[int]
) -> None:
    """Rewards and ends of all; observations and actions of some: an omitted one is no zero."""
    ledger, found = recorded(
        script,
        lambda r, p: r.record(*p.facts, last=p.last, final_observations=p.next_observations),
        observe=sorted(observed),
    )
    mine = acted(ledger_of(found))
    for env, episodes in enumerate(acted(ledger)):
        if env in observed:
            assert same(episodes, mine[env])
        else:
            assert [[step[1:4] for step in steps] for _, steps in episodes] == [
                [step[1:4] for step in steps] for _, steps in mine[env]
            ]
    for row in found:
        assert (row.observation is None) == (row.env not in observed)


def test_environments_that_are_not_observed_are_in_batches_of_their_own() -> None:
    """Their values are omitted, which says what they are; a rollout has two layouts, and not two a step."""
    bus, subscription = following()
    world = World(ENVS)
    with Rollouts(envs=ENVS, run="r", bus=bus, kafka=False, observe=slice(0, 1)) as rollouts:
        played = world.play([["on"] * ENVS] * 20)
        rollouts.record(*played.facts, last=played.last)
    kinds = [(batch.header.count, batch.header.observation.dtype) for batch in batches_of(subscription.get_many(1000))]
    assert kinds == [(21, "<f4"), (42, "omitted:<f4")]


@quick
@given(SCRIPTS, st.booleans())
def test_a_loop_that_resets_says_so(script: list[list[list[str]]], last: bool) -> None:
    """`begins`: what runs is left, in either form, and an episode that begins anyway begins once."""
    bus, subscription = following()
    world = World(ENVS)
    with Rollouts(envs=ENVS, run="r", bus=bus, kafka=False) as rollouts:
        for steps in script:
            world.reset()
            played = world.play(steps)
            begins = np.zeros_like(played.terminated)
            begins[0] = True
            begins[1:] = (played.terminated | played.truncated)[:-1]
            after = played.next_observations
            if last:
                rollouts.record(*played.facts, begins=begins, last=played.last, final_observations=after)
            else:
                rollouts.record(*played.facts, begins=begins, next_observations=after)
    assert same(acted(world.ledger), acted(ledger_of(rows(subscription))))


def test_arrays_may_have_the_environments_first() -> None:
    """(N, T, ...), with rewards (N, T, 1), as collectors of PyTorch have them."""

    def record(rollouts: Rollouts, played: Played) -> None:
        turned = [part.swapaxes(0, 1) for part in (*played.facts, played.next_observations)]
        turned[2] = turned[2][..., None]
        rollouts.record(*turned[:5], next_observations=turned[5], extras={"value": turned[1]}, time_axis=1)

    ledger, found = recorded([[["on", "over", "cut"], ["on"] * 3]], record)
    assert same(acted(ledger), ledger_of(found))
    assert all(row.extras == {"value": row.action} for row in found if row.step)


def test_dicts_and_tuples_are_recorded_as_such() -> None:
    """Dict and Tuple spaces: arrays of every part."""
    ledger, found = recorded(
        [[["on", "over", "cut"], ["on"] * 3]],
        lambda r, p: r.record(
            {"a": p.observations, "b": p.observations[..., 0]},
            *p.facts[1:],
            last={"a": p.last, "b": p.last[..., 0]},
            final_observations={"a": p.next_observations, "b": p.next_observations[..., 0]},
        ),
    )
    both = [row.observation for row in found]
    assert all(np.array_equal(seen["a"][0], seen["b"]) for seen in both)
    shown = [row._replace(observation=row.observation["a"]) for row in found]
    assert same(acted(ledger), acted(ledger_of(shown)))


def test_what_is_recorded_is_not_what_is_written_later() -> None:
    """A storage that the next rollout overwrites."""

    def record(rollouts: Rollouts, played: Played) -> None:
        rollouts.record(*played.facts, last=played.last, final_observations=played.next_observations)
        for part in played:
            part.fill(0)

    script = [[["on", "over", "cut"]] * 3] * 2
    ledger, found = recorded(script, record)
    assert same(acted(ledger), acted(ledger_of(found)))


def test_rollouts_share_a_recorder_with_others() -> None:
    """The next env indices; the recorder stays open, and has the indices again."""
    bus, subscription = following()
    with Recorder("r", bus=bus, kafka=False) as recorder:
        recorder.reset_vector(np.zeros((2, 2), np.float32))
        with Rollouts(recorder, envs=ENVS) as rollouts:
            played = World(ENVS).play([["on"] * ENVS])
            rollouts.record(*played.facts, last=played.last)
        assert recorder.reserve_envs(ENVS).envs == range(2, 5)
    assert {row.env for row in rows(subscription)} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rewards": np.zeros((2, 5))}, r"rewards have shape \[2, 5\], must be \[T, 3\]"),
        ({"actions": np.zeros((1, 3))}, r"actions has shape \[1, 3\], must begin with \[2, 3\]"),
        ({"observations": [1, 2]}, "observations has shape list"),
        ({"terminated": np.zeros((2, 1))}, "terminated has shape"),
        ({"rewards": np.array([["a"] * 3] * 2)}, "numbers are needed"),
        ({"last": None}, "give last="),
        ({"actions": object()}, "neither number, array"),
    ],
)
def test_what_is_no_rollout_is_counted_and_said(
    change: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop goes on, and so does the record."""
    bus, subscription = following()
    world = World(ENVS)
    with Rollouts(envs=ENVS, run="r", bus=bus, kafka=False) as rollouts:
        played = world.play([["on"] * ENVS] * 2)
        given = dict(zip(Played._fields[:5], played.facts, strict=True)) | {"last": played.last} | change
        with caplog.at_level(logging.ERROR, "runbus"):
            rollouts.record(**given)
        assert sum(rollouts.not_recorded().values()) == 1
        rollouts.record(*played.facts, last=played.last)
    assert len([row for row in rows(subscription) if row.step]) == 2 * ENVS
    assert re.search(text, caplog.text)


def test_an_exception_of_the_loop_is_the_outcome() -> None:
    """As with a recorder."""
    bus, subscription = following()

    def loop() -> None:
        with Rollouts(envs=1, run="r", bus=bus, kafka=False) as rollouts:
            played = World(1).play([["on"]])
            rollouts.record(*played.facts, last=played.last)
            raise RuntimeError("it fell")

    with pytest.raises(RuntimeError):
        loop()
    ends = [event for event in subscription.get_many(100) if isinstance(event, StreamFinished)]
    assert [(end.outcome, end.error) for end in ends] == [("failed", "RuntimeError: it fell")]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"envs": 1}, "either recorder="),
        ({"envs": 0, "run": "r"}, "at least 1"),
        ({"envs": 2, "run": "r", "observe": [2]}, "observe"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], text: str) -> None:
    """Before the loop begins."""
    with pytest.raises(ConfigError, match=text):
        Rollouts(**options, kafka=False)


def test_values_on_the_host_are_read_at_once() -> None:
    """Arrays, numbers, nothing; what is elsewhere is in tests/frameworks/test_rollout.py."""
    assert place_of({"a": np.zeros(2), "b": [1, (2.0, None)]}) == "host"


def test_work_behind_the_loop_is_done_in_order() -> None:
    """On one thread, all of it before `finish` and `close` return."""
    done: list[int] = []
    behind = Behind(2)
    for number in range(5):
        behind.hand(lambda number=number: done.append(number))  # type: ignore[misc]
    behind.finish()
    assert done == [0, 1, 2, 3, 4]
    behind.hand(lambda: done.append(threading.get_ident()))
    behind.close()
    assert done[5] != threading.get_ident()


def test_absent_is_what_it_says() -> None:
    """An end whose observation nobody kept."""
    _, found = recorded([[["over"] * ENVS]], lambda r, p: r.record(*p.facts, last=p.last))
    assert [row.observation is ABSENT for row in found if row.step] == [True] * ENVS
