"""What the API says of whole episodes, worlds and transcripts, asked of the real engine; the reference is Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from runbus.clickhouse.tables import STEPS
from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import encode
from tests.integration.clickhouse.conftest import Store
from tests.integration.dashboard.conftest import Page, columns, unpacked
from tests.support import recorded_episodes as kinds

pytestmark = pytest.mark.integration
LENGTH = 3_000


class Recorded:
    """Runs that were recorded and stored; the episodes by run and agent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored = 0
        self.ids: dict[tuple[str, str], dict[str, Any]] = {}

    def record(self, run: str, kind: Callable[..., None], **more: Any) -> None:
        """Record a run of a kind and store it."""
        bus = RunBus()
        events = bus.subscribe("store")
        kind(run, partial(Recorder, bus=bus, kafka=False), **more)
        batches = [event.batch() for event in events.get_many(100_000) if isinstance(event, StepsRecorded)]
        self._store.insert(STEPS, [encode(batch) for batch in batches], first_offset=self._stored)
        self._stored += len(batches)
        for header in (batch.header for batch in batches):
            named = {"run": run, "agent": header.agent_id, "attempt": header.attempt, "episode": 0}
            self.ids[run, header.agent_id] = named


@pytest.fixture(scope="module")
def recorded(store: Store) -> Recorded:
    """Return the runs of this file."""
    found = Recorded(store)
    found.record("walk", kinds.long_episode, steps=LENGTH)
    found.record("pair", kinds.pair)
    found.record("world", kinds.world)
    found.record("talk", kinds.assistant)
    found.record("board", kinds.grid)
    return found


@pytest.fixture(scope="module")
def rewards() -> list[float]:
    """Return the rewards of the walk, by step."""
    return [0.0] + [
        25.0 if n == LENGTH // 2 else -1.0 if n % 9_973 == 0 else 1.0 if n % 1_000 == 0 else 0.0
        for n in range(1, LENGTH + 1)
    ]


def test_bins_have_every_step_and_the_extremes(page: Page, recorded: Recorded, rewards: list[float]) -> None:
    """Of any width: as many steps as there are, and the least and the largest reward of each bin."""
    for width in (1, 64, 4096):
        answer = page.get("/episode/bins", width=width, **recorded.ids["walk", "walker"])
        parts = [rewards[n : n + width] for n in range(0, LENGTH + 1, width)]
        expected = [(n * width, len(part), min(part), max(part)) for n, part in enumerate(parts)]
        assert columns(answer, "bin", "count", "min", "max") == expected
    bad = page.get("/episode/bins", width=16, **recorded.ids["board", "gridder"])["columns"]["bad"]
    assert sum(bad) == 1, "the reward that is NaN is counted and is in no figure"


@pytest.mark.parametrize("start", [0, 1, 137, 138, 999, 1000, 1499, LENGTH])
def test_a_jump_finds_what_a_person_would(page: Page, recorded: Recorded, rewards: list[float], start: int) -> None:
    """The next and the previous reward and change of action, from anywhere; the largest reward from everywhere."""
    actions = [n // 137 % 3 for n in range(LENGTH + 1)]
    here = {"reward": [n for n, reward in enumerate(rewards) if reward]}
    here["action"] = [n for n in range(2, LENGTH + 1) if actions[n] != actions[n - 1]]

    def jump(kind: str) -> int | None:
        found: list[int] = page.get("/episode/jump", kind=kind, from_=start, **recorded.ids["walk", "walker"])[
            "columns"
        ]["step"]
        return found[0] if found else None

    for name, steps in here.items():
        assert jump(f"next_{name}") == min((n for n in steps if n > start), default=None)
        assert jump(f"previous_{name}") == max((n for n in steps if n < start), default=None)
    assert jump("largest_reward") == LENGTH // 2
    assert jump("next_error") is None


def test_two_episodes_first_differ_where_they_do(page: Page, recorded: Recorded) -> None:
    """In step 77, and in what; an episode and itself are the same; one that goes on alone differs there."""
    left, right = recorded.ids["pair", "left"], recorded.ids["pair", "right"]

    def difference(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[Any, ...]]:
        answer = page.get("/episode/difference", **one, **{f"with_{name}": value for name, value in other.items()})
        return columns(answer, "step", "alone", "action", "observation", "reward", "terminated", "truncated")

    assert difference(left, right) == [(77, 0, 1, 1, 1, 0, 0)]
    assert difference(left, left) == []
    assert difference(recorded.ids["board", "gridder"], recorded.ids["board", "gridder"]) == [], "NaN is itself"
    assert difference(left, recorded.ids["walk", "walker"])[0][0] == 0, "another layout is another observation"


def test_an_outline_has_what_each_step_cost(page: Page, recorded: Recorded) -> None:
    """Kinds, causes, errors, tokens, cost and durations; from any step on."""
    id_ = recorded.ids["talk", "planner"]
    answer = page.get("/episode/outline", **id_)
    shown = columns(answer, "step", "kind", "status", "parent", "input", "cost", "duration")
    assert shown[1] == (1, "model", "ok", 0, 900, 0.0004, 620)
    assert shown[8] == (8, "tool", "error", 7, 0, 0, 10_000)
    assert columns(page.get("/episode/outline", from_=8, **id_), "step")[0] == (8,)


def test_a_word_is_found_in_one_episode_in_an_agent_and_in_the_run(page: Page, recorded: Recorded) -> None:
    """Whatever its case, in actions and observations; numbers are not searched, quotes and percent signs are text."""
    found = page.get("/search", run="talk", q="harbour inn")
    assert [(agent, step) for agent, step in columns(found, "agent", "step")] == [("planner", 25), ("reader", 0)]
    assert all("Harbour Inn" in text for (text,) in columns(found, "text"))
    assert page.get("/search", q="harbour", **recorded.ids["talk", "reader"])["rows"] == 1
    ids = (recorded.ids["talk", agent] for agent in ("planner", "reader"))
    steps = sum(page.get("/episode", **id_)["columns"]["last_step"][0] + 1 for id_ in ids)
    assert found["searched"] == {"steps": steps, "episodes": 2}
    assert page.get("/search", run="talk", q="%")["rows"] == 0
    assert page.get("/search", run="talk", q="'); DROP TABLE steps; --")["rows"] == 0
    numbers = page.get("/search", run="walk", q="1")
    assert (numbers["rows"], numbers["searched"]) == (0, {"steps": 0, "episodes": 0})
    cut = page.get("/search", run="talk", q="oslo", most=2)
    assert (cut["rows"], cut["left_out"]) == (2, 1)


def test_a_world_has_all_its_agents_on_its_ticks(page: Page, recorded: Recorded) -> None:
    """Who was there from when to when; every agent's step of a tick, as that agent's own episode has it."""
    world = page.get("/world", run="world", episode=0)
    spans = columns(world, "agent", "first_tick", "last_tick", "stored_return")
    assert spans == [("agent-0", 0, 80, 6.0), ("agent-1", 0, 80, 6.0), ("agent-2", 0, 50, 4.0)]
    shown = page.get("/world/steps", run="world", episode=0, from_=49, to=52)
    agents = {agent for agent, tick in columns(shown, "agent", "tick") if tick == 51}
    assert agents == {"agent-0", "agent-1"}
    own = page.get("/episode/steps", from_=49, to=52, **recorded.ids["world", "agent-1"])["columns"]
    mine = [i for i, agent in enumerate(shown["columns"]["agent"]) if agent == "agent-1"]
    for name in ("seq", "step", "tick", "reward", "action", "observation"):
        assert [shown["columns"][name][i] for i in mine] == own[name]
    assert page.raw("/world", run="walk", episode=0).status_code == 404


@pytest.mark.parametrize(
    ("path", "run", "more"),
    [
        ("/episode/bins", "walk", {"width": 64}),
        ("/episode/jump", "walk", {"kind": "next_reward", "from_": 5}),
        ("/episode/jump", "walk", {"kind": "largest_reward"}),
        ("/episode/outline", "walk", {}),
        ("/search", "talk", {"q": "o'slo\\"}),
        ("/world", "world", {"episode": 0}),
        ("/world/steps", "world", {"episode": 0, "to": 5}),
    ],
)
def test_each_answer_has_every_form(
    page: Page, store: Store, recorded: Recorded, path: str, run: str, more: dict[str, Any]
) -> None:
    """JSON and columns say the same, and the SQL can be asked as it is."""
    ids = recorded.ids["walk", "walker"] if path.startswith("/episode") else {"run": run}
    shown = page.get(path, **ids, **more)
    assert unpacked(page.raw(path, as_="columns", **ids, **more).content)["rows"] == shown["rows"]
    assert len(store.rows(page.raw(path, as_="sql", **ids, **more).text)) == shown["rows"]
    assert page.raw(path, as_="csv", **ids, **more).status_code == 200


def test_bytes_of_a_world_are_those_that_were_recorded(page: Page, recorded: Recorded) -> None:
    """Columns have the observations bit for bit."""
    content = page.raw("/world/steps", run="world", episode=0, from_=7, to=7, as_="columns").content
    header = unpacked(content)
    start = 4 + int.from_bytes(content[:4], "little")
    column = next(column for column in header["columns"] if column["name"] == "observation")
    data = np.frombuffer(content, "<f4", column["bytes"] // 4, start + column["data"]).reshape(3, 4)
    assert data[:, 2].tolist() == [0, 1, 2]
