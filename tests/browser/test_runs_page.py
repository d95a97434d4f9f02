"""The page Runs: every run once, in words that are true, and an address that shows the same again."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from runbus.local.stack import Endpoints
from tests.browser.asked import rows
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.many_runs import publish
from tests.browser.serving import Dashboard, live_agents
from tests.browser.stories import HOSTILE, RUNS

ROW = "table.runs tbody tr:not(.group)"
MANY = 300


def names(visit: Visit) -> list[str]:
    """Return the names of the runs that are drawn, from the top."""
    return visit.page.locator(f"{ROW} .name a").all_text_contents()


def window(visit: Visit) -> dict[str, int]:
    """Return which rows are drawn: the first, how many, and where the cursor is."""
    return dict(visit.inspect()["window"])


def query(visit: Visit) -> dict[str, list[str]]:
    """Return the parameters of the address."""
    return parse_qs(urlsplit(visit.page.url).query)


@pytest.fixture
def runs(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> Visit:
    """Return the page with the runs of all stories."""
    visit = tab(dashboard, "/?q=-scale")
    visit.until("all runs are there", lambda: len(names(visit)) >= RUNS)
    return visit


def test_each_run_is_there_once_with_its_state(runs: Visit) -> None:
    """Names are shown as they are, whatever is in them; states are those that the runs said."""
    found = names(runs)
    assert len(found) == len(set(found))
    assert set(HOSTILE.values()) <= set(found)
    states = {"ppo-0": "completed", "it-failed": "failed", "it-was-interrupted": "interrupted"}
    for run, state in states.items():
        assert (
            runs.page.locator(ROW, has=runs.page.get_by_text(run, exact=True)).locator(".state").inner_text() == state
        )


def test_filter_groups_order_and_baseline_are_in_the_address(runs: Visit) -> None:
    """What was done to the list is there again after a reload; Back takes the last of it back."""
    page = runs.page
    page.fill("#filter", "algo:ppo,dqn")
    runs.until("it is filtered", lambda: len(names(runs)) == 8)
    page.locator("label", has_text="Group by").locator("select").select_option("algo")
    runs.until("it is grouped", lambda: page.locator("tr.group").count() == 2)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    runs.until("it is sorted", lambda: names(runs)[:1] == ["dqn-0"])
    page.get_by_role("button", name="Compare all with dqn-1").click()
    runs.until("there is a baseline", lambda: page.locator("tr.base").count() == 1)
    wanted = {"q": ["algo:ppo,dqn"], "group": ["algo"], "sort": ["run"], "base": ["dqn-1"]}
    assert query(runs) == wanted
    before = names(runs)
    page.reload()
    runs.until("it is the same after a reload", lambda: names(runs) == before)
    page.go_back()
    runs.until("Back takes the baseline back", lambda: "base" not in query(runs))


def test_a_pin_and_a_tag_are_for_everybody_who_looks(
    runs: Visit, endpoints: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """Another page has them at once, and a filter finds the tag; whoever takes them off takes them off for all."""
    other, run_page = tab(dashboard, "/?q=-scale"), tab(dashboard, "/run?run=ppo-3")
    star = runs.page.get_by_role("button", name="Pin ppo-3")
    star.click()
    for page in (runs, other):
        page.until("it is on top", lambda page=page: names(page)[:1] == ["ppo-3"])  # type: ignore[misc]
    run_page.page.get_by_text("Add a note or a tag").click()
    run_page.page.get_by_label("A note or a tag").fill("keep me")
    run_page.page.get_by_role("button", name="Add tag").click()
    run_page.until("it is there at once", lambda: "keep me" in run_page.page.locator(".notes").inner_text())
    other.page.fill("#filter", 'tag:"keep me"')
    other.until_text("1 of")
    star.click()
    run_page.page.get_by_role("button", name="Remove the tag keep me").click()
    other.until_text('No run has tag:"keep me"')
    runs.until("it is not pinned any more", lambda: runs.page.locator("tr.pinned").count() == 0)
    said = (
        "SELECT kind, name, removed FROM annotations WHERE run_id = 'ppo-3' AND author = 'page' ORDER BY kind, sent_at"
    )
    story = [("pin", "", False), ("pin", "", True), ("tag", "keep me", False), ("tag", "keep me", True)]
    runs.until("who said what is stored", lambda: [tuple(row) for row in rows(endpoints, said)] == story)


def test_a_filter_without_a_hit_names_its_clause_and_a_wrong_one_says_why(runs: Visit) -> None:
    """The reader sees which part to change."""
    runs.page.fill("#filter", "algo:ppo algo:sarsa")
    runs.until_text("No run has algo:sarsa")
    runs.page.fill("#filter", "algo:ppo lr>=")
    runs.until_text("lr>=: a value is missing")
    runs.page.fill("#filter", "algo~(")
    runs.until_text("this is no regular expression")


def test_a_view_is_saved_under_a_name_in_this_browser(runs: Visit) -> None:
    """It brings filter, order and groups back, and the page says where it is kept."""
    page = runs.page
    page.fill("#filter", "state:failed")
    page.locator(".views summary").click()
    assert "this browser only" in page.locator(".views").inner_text()
    page.get_by_label("Name of this view").fill("broken <b>")
    page.locator(".views form button").click()
    page.fill("#filter", "")
    page.locator(".views").get_by_role("link", name="broken <b>").click()
    runs.until("the view is back", lambda: query(runs).get("q") == ["state:failed"])


def test_a_long_list_is_drawn_in_a_window_that_keys_wheel_and_thumb_move(
    stories: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """Few rows are drawn, each row can be reached, and the cursor stays in sight."""
    publish(stories, MANY)
    visit = tab(dashboard, "/?q=scale&sort=run")
    page = visit.page
    visit.until("the runs are there", lambda: f"{MANY} of" in visit.text() and "window" in visit.inspect())
    size = window(visit)["size"]
    assert 8 <= size <= 60
    assert len(names(visit)) == size
    for _ in range(size):
        page.keyboard.press("j")
    visit.until("the cursor is seen", lambda: window(visit)["first"] == 1 and window(visit)["at"] == size)
    assert page.locator("tr.cursor .name a").inner_text() == f"scale-{size:05d}"
    page.locator(".thumb").press("End")
    visit.until("the end is seen", lambda: names(visit)[-1] == f"scale-{MANY - 1:05d}")
    page.locator("table.runs").hover()
    page.mouse.wheel(0, -36 * 20)
    visit.until("the wheel moved it", lambda: window(visit)["first"] < MANY - size)
    assert page.locator("table.runs").get_attribute("aria-rowcount") == str(MANY + 1)


def test_the_totals_say_whether_every_step_is_accounted_for(
    endpoints: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """While agents walk and after; a click shows the sums."""
    visit = tab(dashboard, "/")
    with live_agents(endpoints, "audited-live", "--agents", "2", "--rate", "50"):
        visit.until_text("audited-live")
        visit.until_text("nothing lost", 60)
    visit.page.get_by_role("link", name="nothing lost").click()
    visit.until_text("Every step")
