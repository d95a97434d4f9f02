"""Statements: values are bound, or written out as SQL; each says where the past ends."""

from __future__ import annotations

import asyncio
import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.budget import Budget
from runbus.dashboard.history.pages import Order
from runbus.dashboard.history.statements import bound, written_out
from runbus.dashboard.history.stitch import Below, Seam

FILES = {file.name: file.read_text() for file in (resources.files("runbus.dashboard.history") / "queries").iterdir()}
#: About what a run is, not about its points: the newest that is stored; the audit has positions of its own.
NEWEST = {"identity.sql", "run_origin.sql", "near_runs.sql", "episode_beside.sql"}


def test_values_are_written_as_sql() -> None:
    """Quotes and backslashes cannot leave their text; what is no plain value is cast."""
    sql = "{a:String} {b:Int64} {c:Array(String)} {d:Map(Int32, Int64)} {e:Bool} {f:Float64}"
    values = {"a": "it's \\", "b": -3, "c": ["x'"], "d": {0: 5}, "e": True, "f": 0.1}
    assert written_out(sql, values) == (
        r"'it\'s \\' -3 CAST(['x\''] AS Array(String)) CAST(map(0, 5) AS Map(Int32, Int64)) true 0.1"
    )
    below = Below({0: 5, 3: 7}, "id")
    assert bound({"below": below, "a": "text"}) == {"below": "{0:5,3:7}", "below_topic": "id", "a": "text"}
    assert written_out("{below_topic:String}", {"below": below}) == "'id'"
    assert written_out("{below_topic:String}", {"below": {0: 5}}) == "''"


@given(st.text())
def test_no_text_ends_early(text: str) -> None:
    """Between its quotes stands nothing that ends them."""
    inner = written_out("{t:String}", {"t": text})[1:-1]
    assert re.fullmatch(r"(?:[^'\\]|\\.)*", inner, re.DOTALL)


@pytest.mark.parametrize("name", sorted(FILES))
def test_each_file_says_what_it_is_for_and_where_the_past_ends(name: str) -> None:
    """What reads rows of steps, runs or episodes reads those below the sink's position; no value is pasted in."""
    sql = FILES[name]
    reads = re.search(r"FROM (steps|episodes|runs)\b", sql)
    if reads and name not in NEWEST:
        assert "$below" in sql or "$episode" in sql or "$below_episodes" in sql
    assert "%s" not in sql


def test_a_seam_stays_where_it_was() -> None:
    """All questions of one answer end alike, also if the sink goes on meanwhile; the answer says where."""
    position = 5
    seam = Seam(lambda topic: {0: position} if topic == "steps" else {}, "lab.", {"lab.steps": "id"})
    assert seam.of("steps") == {0: 5}
    position = 9
    assert seam.of("steps") == {0: 5}
    assert seam.of("episodes") == {}
    assert (seam.of("steps").topic_id, seam.of("episodes").topic_id) == ("id", "")
    assert seam.said == {"lab.steps:0": 5}


ORDER = Order({"key": "Float64", "name": "String", "number": "Int32"})


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WzEsMiwzXQ", "WzEuMCwgImEiLCA0Mjk0OTY3Mjk2XQ", "\u00e9", "bnVsbA", "A" * 99]
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """Nothing but what this list has handed out."""
    with pytest.raises(ApiError) as caught:
        ORDER.after(cursor, descending=True)
    assert caught.value.status == 400


def test_a_budget_hands_turns_on() -> None:
    """A few of one asker, more of all; who waits gets the next turn, also if its holder was cancelled."""

    async def use() -> None:
        budget = Budget(each=2, most=3, patience=60)
        held = [budget.turn("one"), budget.turn("one"), budget.turn("two")]
        for turn in held:
            await turn.__aenter__()
        waiting = [asyncio.create_task(_hold(budget, asker)) for asker in ("one", "three")]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        await held[2].__aexit__(None, None, None)
        await waiting[1]
        assert not waiting[0].done()
        waiting[0].cancel()
        await held[0].__aexit__(None, None, None)
        await _hold(budget, "one")
        assert budget.running == {"one": 1}

    asyncio.run(use())


async def _hold(budget: Budget, asker: str) -> None:
    async with budget.turn(asker):
        pass
