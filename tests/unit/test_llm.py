"""Agents of language models: rows, numbers and ends of every episode are as the program's own ledger says."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import multiprocessing
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runbus.llm import Agent, Episode, current
from runbus.llm.values import History, plain, used
from runbus.recorder import ABSENT, RunBus, Subscription
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas.batch import NO_PARENT
from tests.support.recorded_rows import RecordedRow, RowWords, batches_of, rows_of, words_of

PAGE = Path(__file__).parents[2] / "docs" / "llm.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def agent_on() -> tuple[Agent, Subscription]:
    """Return an agent and what its recorder publishes."""
    bus = RunBus()
    return Agent("run-1", "planner", bus=bus, kafka=False), bus.subscribe("test", max_events=10_000_000)


def recorded(agent: Agent, subscription: Subscription) -> list[tuple[RecordedRow, RowWords]]:
    """End the stream; return its rows, each with kind, status, parent and stop."""
    agent.close()
    batches = batches_of(subscription.get_many(1_000_000))
    return [both for batch in batches for both in zip(rows_of(batch), words_of(batch), strict=True)]


def test_a_story_has_a_row_for_everything_that_was_said_called_and_got() -> None:
    """Kinds, causes, tokens, what was new to the model, and the end with its reward."""
    agent, subscription = agent_on()
    asked = {"role": "user", "content": "The cheapest to Oslo?"}
    with agent.episode([asked], labels={"task": "oslo"}) as episode:
        with episode.model([asked]) as call:
            call.returns(
                {"role": "assistant", "content": "I look."}, usage={"prompt_tokens": 9, "completion_tokens": 2}
            )
        with episode.tool("search", {"to": "Oslo"}, parent=call.seq) as tool:
            tool.returns("89 EUR")
        more = {"role": "user", "content": "By train!"}
        history = [asked, {"role": "assistant", "content": "I look."}, {"role": "tool", "content": "89 EUR"}, more]
        with episode.model(history) as answer:
            answer.returns("The 9:40.", cost_usd=0.25, reward=1.0, ends=True, stop="answered")
        assert current() is episode
    assert current() is None
    rows = recorded(agent, subscription)
    assert [words for _, words in rows] == [
        ("", "", NO_PARENT, ""),
        ("model", "ok", 0, ""),
        ("tool", "ok", 1, ""),
        ("model", "ok", 2, "answered"),
    ]
    reset, first, search, last = (row for row, _ in rows)
    assert reset.observation == [asked]
    assert (first.action, first.observation) == ({"role": "assistant", "content": "I look."}, ABSENT)
    assert (first.extras["llm.input_tokens"], first.extras["llm.output_tokens"]) == (9, 2)
    assert (search.action, search.observation) == ({"tool": "search", "arguments": {"to": "Oslo"}}, "89 EUR")
    assert (last.action, last.observation, last.reward, last.over) == ("The 9:40.", [more], 1.0, (True, False))
    assert last.extras["llm.cost_usd"] == 0.25
    assert all(row.extras["duration_ms"] >= 0 for row in (first, search, last))


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("no"), "error"), (TimeoutError("late"), "timeout"), (asyncio.CancelledError(), "cancelled")],
)
def test_an_exception_is_the_status_of_its_call_and_the_end_of_its_episode(error: BaseException, status: str) -> None:
    """And goes on to the program."""
    agent, subscription = agent_on()
    with pytest.raises(type(error)), agent.episode("go") as episode, episode.tool("search"):
        raise error
    (_, _), (tool, said), (end, ended) = recorded(agent, subscription)
    assert (said[:2], ended[1]) == (("tool", status), status)
    assert tool.observation == f"{type(error).__name__}: {error}"
    assert (end.over, ended[3]) == ((False, True), f"{type(error).__name__}: {error}")


def test_an_episode_without_an_end_of_its_own_is_over_with_its_block() -> None:
    """With no reward; a step after it is not recorded, and its place is another one's."""
    agent, subscription = agent_on()
    with agent.episode("go") as episode:
        episode.human("faster")
    assert episode.step("late") is None
    assert agent.episode("again").env == episode.env
    rows = recorded(agent, subscription)
    assert [(row.episode, row.step, row.over[0]) for row, _ in rows] == [
        (0, 0, False),
        (0, 1, False),
        (0, 2, True),
        (1, 0, False),
    ]
    assert rows[1][1][0] == "human"


class Program:
    """Runs an episode and writes down what was said in it."""

    def __init__(self, agent: Agent, name: str, seed: int) -> None:
        self.agent = agent
        self.name = name
        self.chance = random.Random(seed)
        self.said: list[tuple[str, float]] = []
        self.place = (-1, -1)

    def says(self, episode: Episode) -> None:
        """Say something."""
        text, number = f"{self.name} {len(self.said)}", self.chance.random()
        with episode.model() as call:
            call.returns(text, numbers={"number": number})
        self.said.append((text, number))

    def run(self) -> None:
        """In a thread."""
        with self.agent.episode(self.name) as episode:
            self.place = episode.env, episode.number
            for _ in range(self.chance.randrange(5)):
                self.says(episode)

    async def run_task(self) -> None:
        """In a task that others interrupt."""
        async with self.agent.episode(self.name) as episode:
            self.place = episode.env, episode.number
            for _ in range(self.chance.randrange(5)):
                assert current() is episode
                self.says(episode)
                await asyncio.sleep(0)


def check(programs: list[Program], rows: list[tuple[RecordedRow, RowWords]]) -> None:
    """Compare what each program said with the rows of its episode."""
    found: dict[tuple[int, int], list[RecordedRow]] = {}
    for row, _ in rows:
        found.setdefault((row.env, row.episode), []).append(row)
    assert len(found) == len(programs)
    for program in programs:
        reset, *steps, end = found[program.place]
        assert reset.observation == program.name
        assert [(row.action, row.extras["number"]) for row in steps] == program.said
        assert end.over == (True, False)


def test_episodes_of_many_threads_do_not_mix() -> None:
    """Each has its own place while it runs, its own numbers, its own end."""
    agent, subscription = agent_on()
    programs = [Program(agent, f"thread-{n}", n) for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Program.run, programs))
    check(programs, recorded(agent, subscription))
    assert max(program.place[0] for program in programs) < 8


def test_episodes_of_many_tasks_do_not_mix() -> None:
    """The same in one loop."""
    agent, subscription = agent_on()
    programs = [Program(agent, f"task-{n}", n) for n in range(60)]

    async def all_of_them() -> None:
        await asyncio.gather(*(program.run_task() for program in programs))

    asyncio.run(all_of_them())
    check(programs, recorded(agent, subscription))


def test_calls_of_a_decorated_function_are_episodes() -> None:
    """Plain ones and coroutines; what they were called with is the prompt."""
    agent, subscription = agent_on()

    @agent.recorded(task="sum")
    def add(a: int, b: int = 2) -> int:
        episode = current()
        assert episode is not None
        episode.end(float(a + b))
        return a + b

    @agent.recorded()
    async def ask(question: str) -> str:
        return question.upper()

    assert add(1) == 3
    assert add(1, b=4) == 5
    assert asyncio.run(ask("why")) == "WHY"
    rows = [row for row, _ in recorded(agent, subscription)]
    assert [row.observation for row in rows if row.step == 0] == [1, {"0": 1, "b": 4}, "why"]
    assert [row.reward for row in rows if row.step == 1] == [3.0, 5.0, 0.0]


def test_tools_are_recorded_in_other_threads_too() -> None:
    """A thread knows no current episode by itself: `bound` gives it one."""
    agent, subscription = agent_on()
    seen: list[Episode | None] = []
    with agent.episode("go") as episode:
        add = episode.recorded_tool(lambda a, b: a + b)
        for target in (lambda: seen.append(current()), episode.bound(lambda: seen.append(current()))):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        assert add(1, b=2) == 3
    assert seen == [None, episode]
    tool = recorded(agent, subscription)[1][0]
    assert (tool.action, tool.observation) == ({"tool": "<lambda>", "arguments": {"0": 1, "b": 2}}, 3)


def test_a_tool_that_is_a_coroutine_is_recorded_when_it_has_its_result() -> None:
    """It stays a coroutine function; what it raises is its error."""
    agent, subscription = agent_on()

    async def search(to: str) -> str:
        await asyncio.sleep(0)
        if to == "the moon":
            raise LookupError(to)
        return f"89 EUR to {to}"

    with agent.episode("go") as episode:
        tool = episode.recorded_tool(search)
        assert inspect.iscoroutinefunction(tool)
        assert asyncio.run(tool("Oslo")) == "89 EUR to Oslo"
        with pytest.raises(LookupError):
            asyncio.run(tool(to="the moon"))
    rows = recorded(agent, subscription)[1:3]
    asked = [{"tool": "search", "arguments": {"0": "Oslo"}}, {"tool": "search", "arguments": {"to": "the moon"}}]
    assert [row.action for row, _ in rows] == asked
    assert [words.status for _, words in rows] == ["ok", "error"]
    assert rows[0][0].observation == "89 EUR to Oslo"


def test_a_late_reward_finds_its_episode_though_its_place_is_anothers() -> None:
    """Env and episode are those of the judged one."""
    agent, subscription = agent_on()
    with agent.episode("first") as first:
        pass
    with agent.episode("second") as second:
        first.score(0.5, judge="a person", text="short")
        second.score(1.0)
    agent.recorder.flush(0)
    agent.close()
    (batch,) = (event.batch() for event in subscription.get_many(1000) if isinstance(event, MetricsRecorded))
    columns = batch.columns
    assert columns.env is not None
    assert columns.episode is not None
    assert (columns.env.tolist(), columns.episode.tolist(), columns.value.tolist()) == ([0, 0], [0, 1], [0.5, 1.0])
    assert first.env == second.env == 0


def test_a_judge_is_called_as_a_tool_is_and_a_step_is_judged_by_its_seq() -> None:
    """And an end has a status of its own."""
    agent, subscription = agent_on()
    episode = agent.episode("go")
    with episode.tool("critic", "the answer", kind="judge") as critic:
        critic.returns("fine")
    episode.score(0.25, label="fair", seq=critic.seq)
    episode.end(stop="out of money", truncated=True, status="error")
    agent.recorder.flush(0)
    agent.close()
    events = subscription.get_many(1000)
    said = [words for batch in batches_of(events) for words in words_of(batch)]
    assert [(words.kind, words.status) for words in said] == [("", ""), ("judge", "ok"), ("env", "error")]
    (batch,) = (event.batch() for event in events if isinstance(event, MetricsRecorded))
    assert batch.columns.step_seq is not None
    assert (batch.columns.step_seq.tolist(), list(batch.label)) == ([critic.seq], ["fair"])


@pytest.mark.parametrize("code", EXAMPLES)
def test_each_example_of_its_page_runs(code: str) -> None:
    """As it stands."""
    exec(compile(code, "docs/llm.md", "exec"), {})


def _places(agent: Agent, pipe: Any) -> None:  # a connection
    episodes = [agent.episode("child") for _ in range(2)]
    pipe.send([(episode.env, episode.number) for episode in episodes])


def test_a_forked_child_has_places_of_its_own() -> None:
    """Its recorder begins another stream: no place is taken, no episode counted."""
    agent, _ = agent_on()
    agent.episode("parent")
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_places, args=(agent, there))
    child.start()
    assert here.recv() == [(0, 0), (1, 0)]
    child.join()
    here.close()
    there.close()


# --- values of clients ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Message:
    """As a client has them."""

    role: str
    content: str | None = None
    calls: list[Any] = dataclasses.field(default_factory=list)


class Model:
    """As pydantic has them."""

    def model_dump(self) -> dict[str, Any]:
        """Return the fields."""
        return {"role": "assistant", "refusal": None, "parts": [Message("x")]}


class Broken:
    """Something that refuses to be read."""

    def model_dump(self) -> dict[str, Any]:
        """Raise."""
        raise RuntimeError


def test_messages_of_clients_are_json_data() -> None:
    """Fields that are None are left out; what cannot be read stays."""
    assert plain([Message("user", "hi"), Model()]) == [
        {"role": "user", "content": "hi", "calls": []},
        {"role": "assistant", "parts": [{"role": "x", "calls": []}]},
    ]
    broken = Broken()
    assert plain({"a": broken}) == {"a": broken}


@dataclasses.dataclass
class Usage:
    """As a client has it."""

    input_tokens: int = 7
    output_tokens: int = 3
    cache_read_input_tokens: int = 2


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), (7, 3, 2)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}, (7, 3, 2)),
        ({"prompt_token_count": 7, "candidates_token_count": 3}, (7, 3, None)),
        ({"prompt_tokens": float("nan"), "completion_tokens": "3"}, (None, None, None)),
        (object(), (None, None, None)),
    ],
)
def test_tokens_have_one_name_whoever_counts_them(usage: object, expected: tuple[int | None, ...]) -> None:
    """Mappings and objects of the clients people use."""
    found = used(usage)
    assert tuple(found.get(f"llm.{name}_tokens") for name in ("input", "output", "cached")) == expected


def test_only_new_messages_are_new() -> None:
    """What was sent before, and what has a row; a list that was rewritten is new as a whole."""
    history = History([{"role": "user", "content": "a"}])
    history.recorded("b")
    one = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert history.new(one) == one[2:]
    assert history.new(one) == []
    assert history.new([*one, {"role": "assistant", "content": "b"}]) == [{"role": "assistant", "content": "b"}]
    shorter = [{"role": "user", "content": "a summary"}]
    assert history.new(shorter) == shorter
    assert History("a").new(one[:1]) == []
    history.recorded(1)
    assert history.new([*shorter, {"role": "tool", "content": "1"}]) == []
    history.recorded("2")
    assert history.new([*shorter, {"role": "tool", "content": "1"}, {"role": "tool", "content": 2}]) == []
