"""The pages Compare and Groups: arms with intervals over their seeds, and the rollouts of each group."""

from __future__ import annotations

from typing import Any

from runbus.local.stack import Endpoints
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard


def compared(visit: Visit) -> dict[str, Any]:
    """Return what the page says of the comparison."""
    found: dict[str, Any] = visit.inspect().get("compare", {})
    return found


def test_hiding_an_arm_changes_no_other_line(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Four seeds an arm have an interval; what is hidden is in the address, and all else is as it was."""
    del stories
    visit = tab(dashboard, "/compare?q=/^(ppo%7Cdqn)-[0-3]$/&group=config.algo")
    visit.expected.append("504")  # a question that a busy machine did not answer in time is asked again
    visit.until(
        "both curves, who is better, and in what they differ",
        lambda: len(compared(visit).get("lines", [])) == 2 and compared(visit)["better"] and compared(visit)["differs"],
        60,
    )
    before = {line["key"]: line for line in compared(visit)["lines"]}
    assert all(arm["low"] < arm["at"] < arm["high"] for arm in compared(visit)["arms"])
    assert set(compared(visit)["differs"]) == {"algo", "lr", "seed"}
    visit.page.get_by_role("button", name="dqn", exact=True).click()
    visit.until("one is hidden", lambda: len(compared(visit)["lines"]) == 1)
    assert compared(visit)["lines"] == [before["ppo"]]
    assert "hide=dqn" in visit.page.url
    visit.page.get_by_role("button", name="dqn", exact=True).click()
    visit.until("it is back", lambda: {line["key"]: line for line in compared(visit)["lines"]} == before)


def test_too_few_seeds_have_points_and_no_interval(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Two runs beside each other: their scores, in what they differ, and no claim about others."""
    del stories
    visit = tab(dashboard, "/compare?runs=ppo-0/dqn-0")
    visit.expected.append("504")
    visit.until("both have a score", lambda: len(compared(visit).get("arms", [])) == 2, 60)
    assert [arm["low"] for arm in compared(visit)["arms"]] == [None, None]
    visit.until_text("fewer than 4 runs")
    empty = tab(dashboard, "/compare")
    empty.until_text("Nothing is chosen to compare")


def test_groups_of_a_run(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """A row a task with its rollouts; the best one opens beside the worst; without the label the page says how."""
    del stories
    visit = tab(dashboard, "/groups?run=ppo-0&by=task")
    visit.expected.append("504")
    visit.until(
        "three tasks", lambda: [row["n"] for row in visit.inspect().get("groups", {}).get("rows", [])] == [20] * 3, 60
    )
    visit.page.get_by_role("link", name="side by side").first.click()
    visit.until("two episodes are open", lambda: "/episode?" in visit.page.url and "with=" in visit.page.url)
    other = tab(dashboard, "/groups?run=ppo-0")
    other.expected.append("504")
    other.until_text("No episode of this run has a label group", 60)
