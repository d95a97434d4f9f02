"""Names that are markup, SQL, a path, another direction, nothing to see or 250 bytes: text like any other."""

from __future__ import annotations

import pytest

from runbus.local.stack import Endpoints
from tests.browser.asked import address, episode_address
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.browser.stories import HOSTILE

_OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_run_of_that_name_is_found_opened_and_shown(
    stories: Endpoints, dashboard: Dashboard, tab: Opener, kind: str
) -> None:
    """From the list to the run: the name is equal byte by byte, and nothing of it runs or breaks the page."""
    name = HOSTILE[kind]
    visit = tab(dashboard, address("/", {"q": f'name:"{name}"'.replace("\\", "\\\\")}) if kind != "html" else "/")
    link = visit.page.locator("table.runs .name a", has_text=name[:40]).first
    visit.until("the run is in the list", lambda: link.count() == 1)
    assert link.text_content() == name
    link.click()
    visit.until("its page is open", lambda: visit.page.locator("h1").first.text_content() not in {None, "Runs"})
    assert name in (visit.page.locator("main").text_content() or "")
    assert visit.page.evaluate(_OVERFLOW) <= 0


@pytest.mark.parametrize("kind", ["html", "rtl", "long"])
def test_its_episode_too(stories: Endpoints, dashboard: Dashboard, tab: Opener, kind: str) -> None:
    """Observations, actions, labels and stop reasons are text."""
    visit = tab(dashboard, episode_address(stories, HOSTILE[kind]), width=390)
    visit.until("the episode is shown", lambda: HOSTILE[kind] in (visit.page.locator("main").text_content() or ""))
    assert visit.page.evaluate(_OVERFLOW) <= 0
