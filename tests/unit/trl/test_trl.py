"""Reward functions and environments, called as a trainer of TRL calls them, against a ledger of what they said."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runbus.recorder import RunBus
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas import metric_batch
from runbus.trl import RecordRollouts
from tests.support.recorded_rows import RecordedRow, batches_of, labels_of, rows_of, words_of

PROMPTS = ["a?", "a?", "b?", "b?"]
COMPLETIONS = ["1", "22", "333", "4444"]


class Log:
    """A recorder of rollouts, and what it published."""

    def __init__(self) -> None:
        bus = RunBus()
        self._subscription = bus.subscribe("test", max_events=100_000)
        self.record = RecordRollouts("grpo-1", bus=bus, kafka=False)

    def judged(self, functions: list[Any], completions: Any = COMPLETIONS, step: int = 0) -> list[list[Any]]:
        """Return what the functions say of one batch, called one after the other, as the trainer does."""
        called = {
            "prompts": PROMPTS, "completions": completions, "completion_ids": [[0] * len(one) for one in completions],
            "trainer_state": SimpleNamespace(global_step=step),
        }  # fmt: skip
        said = []
        for function in functions:
            answer = function(**called)
            said.append(asyncio.run(answer) if inspect.iscoroutine(answer) else answer)
        return said

    def ended(self) -> tuple[list[Any], list[RecordedRow], list[tuple[str, float | None, str, int, int]]]:
        """Close it; return its batches, their rows, and (name, value, label, env, episode) of each score."""
        self.record.close()
        events = list(self._subscription.get_many(100_000))
        batches = batches_of(events)
        return batches, [row for batch in batches for row in rows_of(batch)], list(_scores(events))


def _scores(events: list[Any]) -> Iterator[tuple[str, float | None, str, int, int]]:
    for event in events:
        if isinstance(event, MetricsRecorded):
            batch = metric_batch.decode(metric_batch.encode(event.batch()))
            yield from scores_of(batch)


def scores_of(batch: Any) -> Iterator[tuple[str, float | None, str, int, int]]:
    """Yield name, value, label, env and episode of each row."""
    columns = batch.columns
    assert columns.env is not None
    assert columns.episode is not None
    for row in range(batch.header.count):
        absent = columns.absent is not None and columns.absent[row]
        label = batch.label[row] if batch.label else ""
        value = None if absent else float(columns.value[row])
        yield batch.names[columns.name[row]], value, label, int(columns.env[row]), int(columns.episode[row])


@pytest.fixture
def log() -> Log:
    """Return a recorder of rollouts."""
    return Log()


def length(completions: list[str], **_: Any) -> list[float]:
    """The longer, the better."""
    return [float(len(one)) for one in completions]


def even(completions: list[str], **_: Any) -> list[float | None]:
    """Judges only completions of two characters and more; NaN is no judgement either."""
    return [None, 1.0, math.nan, 0.0][: len(completions)]


async def beside(completions: list[str], **_: Any) -> list[float]:
    """A judge that waits."""
    await asyncio.sleep(0)
    return [0.5] * len(completions)


class Judge:
    """A judge that is an object."""

    def __call__(self, completions: list[str], **_: Any) -> list[float]:
        """Return one for each."""
        return [1.0] * len(completions)


def test_each_completion_is_an_episode_and_each_answer_a_score(log: Log) -> None:
    """Whatever number of functions judge it; what comes back is what they said."""
    functions = log.record.rewards([length, even, beside])
    said = log.judged(functions)
    assert said[0] == length(COMPLETIONS)
    assert [said[1][0], said[1][1], said[1][3]] == [None, 1.0, 0.0]
    assert said[2] == [0.5] * 4
    _, rows, scores = log.ended()
    assert [row.observation for row in rows if row.at[1] == 0] == PROMPTS
    assert [row.action for row in rows if row.at[1] == 1] == COMPLETIONS
    assert sum(row.over[0] for row in rows) == 4
    by = {(name, env, episode): value for name, value, _, env, episode in scores}
    places = [(row.env, row.at[0]) for row in rows if row.at[1] == 0]
    assert [by["length", *at] for at in places] == length(COMPLETIONS)
    assert [by["beside", *at] for at in places] == [0.5] * 4
    assert [by["even", *at] for at in places] == [None, 1.0, None, 0.0]
    assert [label for name, value, label, *_ in scores if value is None] == ["not judged"] * 2
    assert len(scores) == 12


def test_each_process_of_a_training_is_an_agent_of_its_own(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its rank."""
    assert log.record.agent.recorder.agent == "policy-0"
    monkeypatch.setenv("RANK", "3")
    assert RecordRollouts("grpo-1", kafka=False).agent.recorder.agent == "policy-3"


def test_functions_keep_their_names_and_what_they_are(log: Log) -> None:
    """The trainer names its columns by them; what it calls itself it gets back untouched."""
    model = SimpleNamespace(forward=print, parameters=print)
    given = [length, beside, functools.partial(even), Judge(), "a/model", model]
    got = log.record.rewards(given)
    assert [one.__name__ for one in got[:4]] == ["length", "beside", "even", "Judge"]
    assert [inspect.iscoroutinefunction(one) for one in got[:4]] == [False, True, False, False]
    assert got[4:] == ["a/model", model]
    assert log.record.rewards(length)[0].__name__ == "length"


def test_rollouts_of_a_prompt_are_a_group_of_their_policy(log: Log) -> None:
    """Its prompt is the task; the same completions in another step are other rollouts."""
    functions = log.record.rewards([length])
    log.judged(functions, step=3)
    log.judged(functions, list(COMPLETIONS), step=4)
    batches, _, _ = log.ended()
    labels = [said for batch in batches for said in labels_of(batch) if said]
    assert [one["policy"] for one in labels] == ["3"] * 4 + ["4"] * 4
    assert [one["sample"] for one in labels] == ["0", "1", "0", "1"] * 2
    assert len({one["task"] for one in labels}) == 2
    assert len({one["group"] for one in labels}) == 4


def test_a_function_that_raises_raises(log: Log) -> None:
    """As without the recording; and an answer that is none changes nothing but what is recorded."""

    def broken(**_: Any) -> list[float]:
        raise ValueError("no judge")

    def short(**_: Any) -> list[float]:
        return [1.0]

    with pytest.raises(ValueError, match="no judge"):
        log.judged(log.record.rewards([broken]))
    assert log.judged(log.record.rewards([short])) == [[1.0]]
    assert log.record.rewards([short])[0](completions=3, prompts=None) == [1.0]


class Shop:
    """An environment of a trainer: tools, and a reward of its own."""

    def __init__(self) -> None:
        self.sold: list[str] = []

    def reset(self, prompt: str, **_: Any) -> str:
        """Open it."""
        self.sold = []
        return f"open: {prompt}"

    def buy(self, item: str, count: int = 1) -> str:
        """Buy something.

        Args:
            item: what.
            count: how many.
        """
        if item == "moon":
            raise KeyError(item)
        self.sold += [item] * count
        return f"{count} {item}"

    async def ask(self, question: str) -> str:
        """Ask the clerk."""
        return question.upper()

    @staticmethod
    def price() -> float:
        """Is no tool."""
        return 1.0

    def _count(self) -> int:
        return len(self.sold)

    def get_reward(self) -> float | None:
        """Pay for what was sold; nothing is no answer."""
        return float(self._count()) or None


class Unpaid:
    """An environment that leaves the reward to functions."""

    def reset(self, **_: Any) -> None:
        """Begin."""

    def buy(self, item: str) -> str:
        """Buy."""
        return f"1 {item}"


def tools(environment: object) -> list[str]:
    """Return the names of what the trainer shows to the model, found as it does."""
    found = inspect.getmembers(environment, inspect.ismethod)
    return [name for name, _ in found if name not in ("reset", "get_reward") and not name.startswith("_")]


def test_an_environment_looks_to_the_trainer_as_it_did(log: Log) -> None:
    """One class for all of a kind, the same tools with the same signatures and texts, and no other name."""
    make = log.record.environments(Shop)
    one, other = make(), make()
    assert type(one) is type(other)
    assert isinstance(one, Shop)
    assert (type(one).__name__, tools(one)) == ("Shop", tools(Shop()))
    assert inspect.signature(one.buy) == inspect.signature(Shop().buy)
    assert one.buy.__doc__ == Shop.buy.__doc__
    assert inspect.iscoroutinefunction(one.ask)
    assert not set(dir(one)) - set(dir(Shop())) - {"__slots__"}
    several = log.record.environments({"a": Shop, "b": functools.partial(Shop)})
    assert type(several["a"]()) is type(several["b"]()) is type(one)


def test_a_rollout_of_an_environment_is_an_episode_with_its_tools(log: Log) -> None:
    """From reset to get_reward: each call with its result or its error, what the model said at last, the reward."""
    shop = log.record.environments(Shop)()
    assert shop.reset(prompt="buy!", seed=7) == "open: buy!"
    assert shop.buy("tea", count=2) == "2 tea"
    with pytest.raises(KeyError):
        shop.buy("moon")
    assert asyncio.run(shop.ask("why")) == "WHY"
    talk = [
        {"role": "assistant", "content": "I buy"},
        {"role": "tool", "content": "2 tea"},
        {"role": "assistant", "content": "done"},
    ]
    functions = log.record.rewards([lambda completions, **_: [0.25] * len(completions)])
    called = {"prompts": ["buy!"], "completions": [talk], "environments": [shop]}
    assert functions[0](**called) == [0.25]
    assert shop.get_reward() == 2.0
    batches, rows, scores = log.ended()
    words = [word for batch in batches for word in words_of(batch)]
    assert [row.action["tool"] for row in rows[1:4]] == ["buy", "buy", "ask"]
    assert rows[1].action["arguments"] == {"0": "tea", "count": 2}
    assert [word.status for word in words[1:4]] == ["ok", "error", "ok"]
    assert [word.kind for word in words[1:6]] == ["tool", "tool", "tool", "model", "env"]
    assert rows[4].action == talk[-1]
    assert (rows[5].reward, rows[5].over) == (2.0, (True, False))
    assert [(name, value) for name, value, *_ in scores] == [("<lambda>", 0.25)]
    assert len(rows) == 6


def test_a_judge_that_comes_behind_get_reward_is_waited_for(log: Log) -> None:
    """The trainer calls coroutines last; what the model said and the reward are in the episode all the same."""
    functions = log.record.rewards([beside])
    make = log.record.environments(Shop)
    judged, forgotten = make(), make()
    for shop in (judged, forgotten):
        shop.reset(prompt="buy!")
        shop.buy("tea")
        assert shop.get_reward() == 1.0
    asyncio.run(functions[0](prompts=["buy!"], completions=["done"], environments=[judged]))
    _, rows, scores = log.ended()  # the other one ends with the stream
    said = [[row.action for row in rows if row.env == env][2:] for env in (0, 1)]
    assert said[0][0] == "done"
    assert [row.reward for row in rows if any(row.over)] == [1.0, 1.0]
    assert [(name, value, env) for name, value, _, env, _ in scores] == [("beside", 0.5, 0)]


def test_a_rollout_is_of_the_policy_that_the_trainer_is_at(log: Log) -> None:
    """A reset comes before anybody is told the step: it is the trainer's own state that counts."""
    functions, shop, state = (
        log.record.rewards([length]),
        log.record.environments(Shop)(),
        SimpleNamespace(global_step=4),
    )
    for step in (4, 5):
        state.global_step = step
        shop.reset(prompt="buy!")
        functions[0](prompts=["buy!"], completions=["x"], environments=[shop], trainer_state=state)
        shop.get_reward()
    batches, _, _ = log.ended()
    said = [labels["policy"] for batch in batches for labels in labels_of(batch) if labels]
    assert said == ["0", "5"]  # before the first call of a function nobody knows the state


def test_no_reward_is_no_zero(log: Log) -> None:
    """An environment that gives none ends its episode, and a score without a number says so."""
    shop = log.record.environments(Shop)()
    shop.reset(prompt="look!")
    assert shop.get_reward() is None
    _, rows, scores = log.ended()
    assert rows[-1].over == (True, False)
    assert [(name, value, label) for name, value, label, *_ in scores] == [("Shop", None, "not judged")]


def test_an_environment_that_is_reset_anew_ends_what_nobody_judged(log: Log) -> None:
    """Instances are pooled and used again; one without a reward of its own ends when it is judged."""
    shop, unpaid = log.record.environments(Shop)(), log.record.environments(Unpaid)()
    shop.reset(prompt="one")
    shop.reset(prompt="two")
    shop.get_reward()
    unpaid.reset(prompt="three")
    functions = log.record.rewards([length])
    functions[0](prompts=["three"], completions=["x"], environments=[unpaid])
    assert unpaid.buy("tea") == "1 tea"  # between two rollouts: nobody's step
    _, rows, _ = log.ended()
    ends = [row.over for row in rows if any(row.over)]
    assert ends == [(False, True), (True, False), (True, False)]


def test_an_environment_that_cannot_be_recorded_is_said_and_works(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """A class that nothing can be derived from."""
    make: Callable[[], Any] = log.record.environments(lambda: 3)
    assert make() == 3
    assert "not recorded" in caplog.text
