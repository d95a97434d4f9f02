"""A recorded run plays again: it ends with what ClickHouse has, pauses, and begins anywhere."""

from __future__ import annotations

from typing import Any

from runbus.local.stack import Endpoints
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.browser.test_run_page import drawn, stored

RUN = "ppo-0"


def progress(visit: Visit) -> dict[str, Any]:
    """Return how far the replay is."""
    found: dict[str, Any] = visit.inspect().get("replay") or {}
    return found


def test_a_replay_ends_with_every_point_and_begins_again_anywhere(
    stories: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """At once: every episode of ClickHouse is drawn, each once. From the middle on: the same points come again."""
    wanted = stored(stories, RUN)
    visit = tab(dashboard, f"/run?run={RUN}&replay=1000000")
    visit.until("the replay is over", lambda: progress(visit).get("over"))
    visit.until("all is drawn", lambda: drawn(visit) == wanted)
    assert visit.page.get_by_role("button", name="Again").is_visible()
    moment = visit.page.get_by_role("slider", name="Moment of the run")
    moment.focus()
    visit.page.keyboard.press("Home")
    visit.until("it is over again", lambda: progress(visit).get("over") and drawn(visit) == wanted)


def test_a_replay_stands_still_when_it_is_asked_to(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Space pauses it: the stream is closed, and goes on from there."""
    visit = tab(dashboard, f"/run?run={RUN}&replay=0.001")
    visit.until("something came", lambda: progress(visit).get("at"))
    visit.page.keyboard.press("Space")
    visit.until_text("paused")
    at = progress(visit)["at"]
    visit.page.keyboard.press("Space")
    visit.until("it goes on from there", lambda: progress(visit)["at"] > at)
    assert progress(visit)["at"] < progress(visit)["to"]


def test_a_run_is_found_by_a_part_of_its_name(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Ctrl+K, some letters, Enter: from any page, with the keyboard alone."""
    visit = tab(dashboard, "/health")
    keys = visit.page.keyboard
    visit.until("the page is there", lambda: "live" in visit.inspect())
    keys.press("Control+k")
    visit.until("the field is there", lambda: visit.page.get_by_role("combobox").count() == 1)
    keys.type("dqn-1")
    visit.until("it is found", lambda: visit.page.get_by_role("option").all_inner_texts() == ["dqn-1"])
    keys.press("Enter")
    visit.until("the run is open", lambda: visit.page.url.endswith("/run?run=dqn-1"))
