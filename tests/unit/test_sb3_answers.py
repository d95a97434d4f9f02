"""What an answer of Stable-Baselines3's vector environments means; the real ones: tests/frameworks/test_sb3.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.recorder import ABSENT, Recorder, RunBus
from runbus.sb3.answers import answer_of, seeds_of
from tests.support.recorded_rows import RecordedRow, batches_of, rows_of

quick = settings(max_examples=80, deadline=None, derandomize=True)
#: of an environment at a step: goes on, terminated, truncated, both
FATE = st.sampled_from(["on", "over", "cut", "both"])


def told(fates: list[str], last: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Return flags and infos as DummyVecEnv gives them."""
    infos: list[dict[str, Any]] = [{"TimeLimit.truncated": fate == "cut", "n": i} for i, fate in enumerate(fates)]
    for i, fate in enumerate(fates):
        if fate != "on":
            infos[i]["terminal_observation"] = last[i]
    return np.array([fate != "on" for fate in fates]), infos


@quick
@given(st.lists(st.lists(FATE, min_size=3, max_size=3), max_size=12), st.booleans())
def test_every_end_is_a_step_with_its_own_observation_and_then_a_reset(script: list[list[str]], said: bool) -> None:
    """Any fates: the rows are those of the episodes; without `record_info` nothing but them."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    expected: list[list[tuple[Any, ...]]] = [[(0, 0.0, False, False)] for _ in range(3)]
    with Recorder("r", bus=bus, kafka=False) as recorder:
        recorder.reset_vector(np.zeros(3))
        for number, fates in enumerate(script, 1):
            dones, infos = told(fates, -np.arange(3.0) - number)
            answer = answer_of(dones, infos, [{"began": number}] * 3, record_info=said)
            over, cut, seen = answer.terminated, answer.truncated, np.full(3, float(number))
            rewards = np.arange(3) + number
            recorder.step_vector(np.zeros(3), rewards, over, cut, seen, resets=answer.resets, infos=answer.infos)
            for env, fate in enumerate(fates):
                if fate == "on":
                    expected[env].append((number, env + number, False, False))
                else:
                    expected[env] += [(-env - number, env + number, fate != "cut", fate == "cut")]
                    expected[env].append((number, 0.0, False, False))
    rows = [row for batch in batches_of(subscription.get_many(1000)) for row in rows_of(batch)]
    for env in range(3):
        assert [shown(row) for row in rows if row.env == env] == expected[env]
    if not said:
        assert not any(row.info for row in rows)
    else:
        ends = [row.info for row in rows if any(row.over)]
        assert set(ends) <= {'{"n":0}', '{"n":1}', '{"n":2}'}
        assert all("began" in str(row.info) for row in rows if row.step == 0 and row.episode)


def shown(row: RecordedRow) -> tuple[Any, ...]:
    """Return what is compared of a row."""
    return (float(row.observation), row.reward, *row.over)


def test_without_a_last_observation_there_is_none() -> None:
    """An environment that throws it away: absent, not the next episode's first."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    answer = answer_of([True], [{}], [{}], record_info=False)
    with Recorder("r", bus=bus, kafka=False) as recorder:
        recorder.reset_vector(np.zeros(1))
        recorder.step_vector([0], [1.0], answer.terminated, answer.truncated, np.ones(1), resets=answer.resets,
                             infos=answer.infos)  # fmt: skip
    rows = [row for batch in batches_of(subscription.get_many(1000)) for row in rows_of(batch)]
    assert [row.observation for row in rows] == [0.0, ABSENT, 1.0]


@pytest.mark.parametrize("dones", [None, "no", [True], np.zeros((2, 2))])
@pytest.mark.parametrize("infos", [[{}, {}], [None, 3]])
def test_nothing_that_an_environment_returns_is_an_error(dones: Any, infos: Any) -> None:
    """The recorder says what is wrong with flags that are none."""
    assert answer_of(dones, infos, [], record_info=True).resets is None


def test_infos_that_are_none_are_empty() -> None:
    """Somebody else's VecEnv."""
    answer = answer_of([True, False], [None, 3], [], record_info=True)
    assert answer.infos == [{"final_info": {}}, {}]


def test_seeds_are_those_of_the_next_reset() -> None:
    """A copy, as the reset clears them; none without seeds."""
    given = [1, None]
    found = seeds_of(given, 2)
    given[0] = None
    assert found == [1, None]
    assert [seeds_of(other, 2) for other in ([None, None], None, [1], "ab")] == [None] * 4
