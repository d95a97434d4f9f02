"""The transcript: turns with their tools, what they cost, and finding something in 70,000 of them."""

from __future__ import annotations

from typing import Any

import pytest

from runbus.local.stack import Endpoints
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.browser.shown_episodes import episode, record
from tests.browser.test_accessibility import findings

TURNS = 70_000
NODES = "() => document.getElementsByTagName('*').length"


@pytest.fixture(scope="module")
def stored(stories: Endpoints) -> Endpoints:
    """Return the stack once the transcripts are stored."""
    record(stories, "assistant", "talk")
    return stories


def talk(visit: Visit) -> dict[str, Any]:
    """Return what the page says of its transcript."""
    return dict(visit.inspect().get("talk") or {})


def cursor(visit: Visit) -> int:
    """Return the step under the cursor."""
    return int((visit.inspect().get("episode") or {"cursor": -1})["cursor"])


def test_turns_have_their_tools_their_errors_and_their_cost(
    stored: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """A result is folded into the call it belongs to; an error is open; markup in a result is text; r shows it raw."""
    visit = tab(dashboard, episode(stored, "assistant", "planner", step=0))
    visit.until("the turns are there", lambda: talk(visit).get("turns") == 15)
    page = visit.page
    visit.until_text("Find the cheapest flight to Oslo")
    calls = page.locator("details.call")
    visit.until("the calls are there", lambda: calls.count() == 12)
    assert calls.nth(0).evaluate("call => call.open") is False
    assert calls.nth(3).evaluate("call => call.open && call.classList.contains('error')") is True
    calls.nth(1).locator("summary").click()
    assert "<img src=x onerror=alert(1)>" in calls.nth(1).inner_text()
    totals = talk(visit)["totals"]
    assert (totals["steps"], totals["tools"], totals["errors"]) == (27, 12, 2)
    assert totals["input"] == sum(900 + 130 * n for n in range(12)) + 4_000
    assert "2 errors" in visit.text()
    page.keyboard.press("e")
    visit.until("the next error", lambda: cursor(visit) == 8)
    page.keyboard.press("r")
    visit.until_text('"seq": 8')
    assert findings(visit) == []


def test_the_tree_and_the_time_line_show_the_same_steps(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """A tool is below its turn and folds away; a click in the time line goes to a step."""
    visit = tab(dashboard, episode(stored, "assistant", "planner", step=4, view="tree"))
    rows = visit.page.locator(".tree-row")
    visit.until("the tree is there", lambda: rows.count() > 5)
    assert rows.nth(2).get_attribute("aria-level") == "2"
    before = rows.nth(3).inner_text()
    rows.nth(1).get_by_role("button").click()
    visit.until("it is folded", lambda: rows.nth(2).inner_text() == before)
    assert findings(visit) == []
    visit.page.get_by_role("button", name="Time line").click()
    line = visit.page.locator(".time-canvas")
    visit.until("the time line is there", lambda: line.count() == 1)
    line.click(position={"x": 3, "y": 28})
    visit.until("the step that took longest", lambda: cursor(visit) in (8, 18))


def test_seventy_thousand_turns_are_walked_and_searched(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Few of them are in the page, each can be reached; a word is found wherever it is; an error far away too."""
    visit = tab(dashboard, episode(stored, "talk", "talker", step=35_000))
    page = visit.page
    visit.until("the turns are there", lambda: talk(visit).get("turns") == TURNS + 1, 60)
    visit.until_text("I am at 35000.")
    page.keyboard.press("/")
    page.keyboard.type("NEEDLE")
    page.keyboard.press("Enter")
    visit.until("it is found", lambda: talk(visit)["hits"] == [TURNS // 10, TURNS // 2, TURNS - 1])
    page.keyboard.press("Enter")
    visit.until("the next one", lambda: cursor(visit) == TURNS - 1)
    visit.until("it is marked", lambda: page.locator("mark").all_inner_texts() == ["needle"])
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    visit.until_text("Count, and say what you see.")
    page.keyboard.press("e")
    visit.until("the error", lambda: cursor(visit) == TURNS // 3)
    visit.until_text(f"I am at {TURNS // 3}.")
    chat = page.locator(".chat-body")
    for _ in range(40):
        chat.evaluate("body => body.scrollBy(0, 900)")
        page.wait_for_timeout(10)
    visit.until("what was scrolled to has come", lambda: "Loading" not in visit.text())
    seen = int(chat.evaluate("body => body.querySelectorAll('.turn')[0].dataset.turn"))
    assert seen > TURNS // 3 + 40
    assert page.evaluate(NODES) < 2_000


def test_a_word_is_found_in_all_transcripts_of_the_run(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Each hit is a link to its step, of whatever agent."""
    visit = tab(dashboard, episode(stored, "assistant", "planner", q="harbour inn"))
    visit.until("it is found", lambda: talk(visit).get("hits") == [25])
    visit.page.get_by_role("button", name="In all").click()
    visit.page.get_by_role("link", name="reader · episode 0 · #0").click()
    visit.until_text("Read the page of the Harbour Inn.")
    assert "agent=reader" in visit.page.url
