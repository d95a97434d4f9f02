"""A dashboard with a token: nobody looks without it, and who is done leaves."""

from __future__ import annotations

import re

from runbus.local.stack import Endpoints
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard

TOKEN = "a-token-that-nobody-guesses-1234567890"


def test_in_with_the_token_and_out_again(stories: Endpoints, own_dashboard: Dashboard, tab: Opener) -> None:
    """A wrong one is said; the right one leads to where one wanted to go; after the logout it is asked for again."""
    del stories
    own_dashboard.settings["RUNBUS_DASHBOARD_TOKEN"] = TOKEN
    own_dashboard.start()
    visit = tab(own_dashboard, "/run?run=ppo-0")
    visit.expected += ["401", "403"]
    page = visit.page
    page.wait_for_url(re.compile("/login"))
    page.get_by_label("Token of this page").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    page.get_by_label("Token of this page").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{own_dashboard.origin}/run?run=ppo-0")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login"))
    page.goto(f"{own_dashboard.origin}/")
    page.wait_for_url(re.compile("/login"))
