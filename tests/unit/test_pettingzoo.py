"""Worlds of several agents: what is recorded of each is what the world's own ledger says; the world notices nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pettingzoo import ParallelEnv
from pettingzoo.test import api_test, parallel_api_test
from pettingzoo.test.example_envs import generated_agents_env_v0, generated_agents_parallel_v0
from pettingzoo.utils import parallel_to_aec
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from runbus.config.errors import ConfigError
from runbus.pettingzoo import RecordAEC, RecordParallel
from runbus.recorder import ABSENT, RunBus, Subscription
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.schemas.batch import decode, encode
from tests.support.ledger_worlds import AGENTS, Ledger, Life, ParallelWorld, TurnsWorld
from tests.support.recorded_rows import RecordedRow, rows_of

quick = settings(max_examples=80, deadline=None, derandomize=True)
SOME = st.frozensets(st.sampled_from(AGENTS))
SCRIPTS = st.lists(st.lists(SOME, min_size=1, max_size=8), min_size=1, max_size=3)


def following() -> tuple[RunBus, Subscription]:
    """Return a bus and what is published on it."""
    bus = RunBus()
    return bus, bus.subscribe("test", max_events=10_000_000)


def rows_by_agent(subscription: Subscription) -> dict[str, list[RecordedRow]]:
    """Return the rows of each stream."""
    found: dict[str, list[RecordedRow]] = {}
    for event in subscription.get_many(1_000_000):
        if isinstance(event, StepsRecorded):
            batch = decode(encode(event.batch()))
            found.setdefault(batch.header.agent_id, []).extend(rows_of(batch))
    return found


def lives(rows: list[RecordedRow]) -> Iterator[Life]:
    """Yield the lives that are recorded."""
    life: Life | None = None
    for row in rows:
        if row.step == 0:
            if life is not None:
                yield life
            life = Life(row.observation)
        else:
            assert life is not None
            life.rows.append((row.action, row.reward, *row.over, row.observation))
    if life is not None:
        yield life


def same(found: Life, expected: Life) -> bool:
    """Whether two lives are equal; what the world gave nobody is absent."""

    def seen(one: Any, other: Any) -> bool:
        return one is ABSENT if other is None else bool(np.array_equal(one, other))

    pairs = list(zip(found.rows, expected.rows, strict=False))
    alike = all(one[:4] == other[:4] and seen(one[4], other[4]) for one, other in pairs)
    return alike and seen(found.first, expected.first) and len(found.rows) == len(expected.rows)


def check(recorded: dict[str, list[RecordedRow]], ledger: Ledger) -> None:
    """Compare what is recorded with a ledger."""
    for agent, expected in ledger.items():
        found = list(lives(recorded.get(agent, [])))
        assert len(found) == len(expected), agent
        assert all(same(one, other) for one, other in zip(found, expected, strict=True)), (agent, found, expected)


def play(env: Any, world: ParallelWorld, episodes: int, chance: random.Random) -> None:
    """Play all episodes of a script."""
    for _ in range(episodes):
        env.reset(seed=1)
        while True:
            try:
                env.step({agent: chance.randrange(4) for agent in world.agents})
            except StopIteration:  # the script is over
                break
    env.close()


@quick
@given(SCRIPTS)
def test_agents_that_die_appear_and_return_have_the_lives_of_the_ledger(script: list[list[frozenset[str]]]) -> None:
    """Each life is an episode: first observation, actions, rewards, ends and observations, bit for bit."""
    bus, subscription = following()
    world = ParallelWorld(script)
    play(RecordParallel(world, "r", bus=bus, kafka=False), world, len(script), random.Random(1))
    check(rows_by_agent(subscription), world.ledger)


@quick
@given(st.lists(st.lists(SOME, min_size=1, max_size=5), min_size=1, max_size=4))
def test_agents_of_one_episode_of_the_world_have_one_number(script: list[list[frozenset[str]]]) -> None:
    """Whoever was there before: the first life of each in an episode has a number that no earlier episode has."""
    bus, subscription = following()
    world = ParallelWorld(script)
    env = RecordParallel(world, "r", bus=bus, kafka=False)
    numbers: list[set[int]] = []
    for _ in script:
        env.world.flush(0)  # the steps of the episode before
        subscription.get_many(1_000_000)
        env.reset()
        env.world.flush(0)
        found = rows_by_agent(subscription)
        numbers.append({row.episode for rows in found.values() for row in rows})
        for _ in script[len(numbers) - 1][1:]:
            env.step(dict.fromkeys(world.agents, 0))
    env.close()
    begun = [next(iter(found)) for found in numbers if found]
    assert all(len(found) <= 1 for found in numbers)
    assert begun == sorted(set(begun))


@quick
@given(st.lists(st.integers(1, 30), min_size=1, max_size=3), st.integers(0, 2**32), st.booleans())
def test_turns_have_what_came_of_them_until_the_agent_was_asked_again(
    lengths: list[int], seed: int, to_the_end: bool
) -> None:
    """Rewards of all turns in between, the end that came in another's turn; a loop that stops early loses nothing."""
    bus, subscription = following()
    world = TurnsWorld(lengths, random.Random(seed))
    env, chance = RecordAEC(world, "r", bus=bus, kafka=False), random.Random(seed)
    for _ in lengths:
        env.reset()
        for agent in env.agent_iter(1000 if to_the_end else 5):
            _, _, terminated, truncated, _ = env.last()
            env.step(None if terminated or truncated else chance.randrange(4))
            del agent
    env.close()
    recorded = rows_by_agent(subscription)
    for agent, expected in world.ledger.items():
        found = [life for life in lives(recorded.get(agent, [])) if not _never_acted(life)]
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert [row[:1] + row[2:4] for row in one.rows] == [row[:1] + row[2:4] for row in other.rows]
            assert [row[1] for row in one.rows] == pytest.approx([row[1] for row in other.rows])
            assert all(
                row[4] is ABSENT or np.array_equal(row[4], truth[4])
                for row, truth in zip(one.rows, other.rows, strict=True)
            )
            assert np.array_equal(one.first, other.first)


def _never_acted(life: Life) -> bool:
    """Whether an agent died before its first turn: it has a row for what it got, without an action."""
    return len(life.rows) == 1 and life.rows[0][0] is ABSENT


def test_what_is_seen_when_asked_is_recorded_and_the_world_is_not_asked_for_it() -> None:
    """`last(observe=False)` leaves the observation absent; nothing is observed behind the loop's back."""
    bus, subscription = following()
    world = TurnsWorld([9], random.Random(3))
    asked: list[str] = []
    world.observe = asked.append  # type: ignore[assignment,method-assign]
    env = RecordAEC(world, "r", bus=bus, kafka=False)
    env.reset()
    for _ in env.agent_iter():
        _, _, terminated, truncated, _ = env.last(observe=False)
        env.step(None if terminated or truncated else 0)
    env.close()
    assert asked == []
    recorded = rows_by_agent(subscription)
    assert {row.observation for rows in recorded.values() for row in rows} == {ABSENT}


@pytest.mark.filterwarnings("ignore::UserWarning")  # what it thinks of its own example
def test_the_wrappers_pass_pettingzoos_own_checks() -> None:
    """Its tests of the interface, on worlds whose agents come and go."""
    api_test(RecordAEC(generated_agents_env_v0.env(), "r", bus=RunBus(), kafka=False), num_cycles=100)
    parallel = RecordParallel(generated_agents_parallel_v0.parallel_env(), "r", bus=RunBus(), kafka=False)
    parallel_api_test(parallel, num_cycles=100)
    api_test(RecordAEC(parallel_to_aec(parallel), "r", bus=RunBus(), kafka=False), num_cycles=20)


def test_everything_passes_through_as_the_same_objects() -> None:
    """Dicts, observations and actions are those of the world and of the loop."""

    class Told(ParallelWorld):
        def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            self.told = actions, super().step(actions)
            return self.told[1]

    world = Told([[frozenset(AGENTS)] * 2])
    env = RecordParallel(world, "r", bus=RunBus(), kafka=False)
    env.reset()
    actions = dict.fromkeys(AGENTS, np.int64(1))
    result = env.step(actions)
    assert world.told[0] is actions
    assert world.told[1] is result
    assert env.unwrapped is world


def test_many_agents_can_share_a_stream() -> None:
    """An env index each; their names are labels of their episodes."""
    bus, subscription = following()
    world = ParallelWorld([[frozenset(AGENTS)] * 3, [frozenset(AGENTS)] * 2])
    env = RecordParallel(world, "r", together="swarm", bus=bus, kafka=False)
    play(env, world, 2, random.Random(1))
    events = [event for event in subscription.get_many(10_000) if isinstance(event, StepsRecorded)]
    batches = [decode(encode(event.batch())) for event in events]
    rows = [row for batch in batches for row in rows_of(batch)]
    assert {batch.header.agent_id for batch in batches} == {"swarm"}
    labels = {(label.name, value) for batch in batches for label in batch.labels for value in label.values}
    assert labels == {("agent", agent) for agent in AGENTS}
    for index, agent in enumerate(AGENTS):
        check({agent: [row for row in rows if row.env == index]}, {agent: world.ledger[agent]})


@pytest.mark.parametrize(("ids", "names"), [((0, 1), ["0", "1"]), (("a/b", "a%2Fb"), ["a%2Fb", "a%2Fb~2"])])
def test_agents_of_any_name_are_recorded(ids: tuple[Any, ...], names: list[str]) -> None:
    """A "/" is written as %2F; two agents never share a name."""
    world = ParallelWorld([[frozenset(ids)]])
    world.possible_agents = list(ids)
    world.ledger = {agent: [] for agent in ids}
    env = RecordParallel(world, "r", bus=RunBus(), kafka=False)
    env.reset()
    assert [recorder.agent for recorder in env.world.recorders.values()] == names


def test_an_exception_is_the_outcome_of_all_agents_and_reaches_the_loop() -> None:
    """Unless the world begins anew."""
    bus, subscription = following()
    world = ParallelWorld([[frozenset(AGENTS)]])
    env = RecordParallel(world, "r", bus=bus, kafka=False)
    env.reset()
    with pytest.raises(StopIteration):
        env.step({})
    env.close()
    ends = [event for event in subscription.get_many(1000) if isinstance(event, StreamFinished)]
    assert {event.outcome for event in ends} == {"failed"}
    assert len(ends) == len(AGENTS)


def test_dicts_that_lack_an_agent_cost_no_row() -> None:
    """It is said once, and counts as 0 and as going on."""

    class Silent(ParallelWorld):
        def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            seen, rewards, _, _, infos = super().step(actions)
            return seen, {"ant": rewards["ant"]}, {}, {}, infos

    bus, subscription = following()
    env = RecordParallel(Silent([[frozenset(AGENTS)] * 3]), "r", bus=bus, kafka=False)
    env.reset()
    for _ in range(2):
        env.step(dict.fromkeys(AGENTS, 1))
    env.close()
    recorded = rows_by_agent(subscription)
    assert [len(recorded[agent]) for agent in AGENTS] == [3, 3, 3]
    assert [row.reward for row in recorded["bee"]] == [0.0] * 3


def test_a_step_before_the_reset_is_the_worlds_own_error() -> None:
    """Nothing is recorded of it."""
    env = RecordAEC(OrderEnforcingWrapper(TurnsWorld([3], random.Random(1))), "r", bus=RunBus(), kafka=False)
    with pytest.raises(AssertionError, match="before step"):
        env.step(0)


def test_a_run_needs_a_name() -> None:
    """It is said at construction."""
    world: ParallelEnv[str, Any, Any] = ParallelWorld([])
    with pytest.raises(ConfigError, match="run"):
        RecordParallel(world, "", kafka=False)
