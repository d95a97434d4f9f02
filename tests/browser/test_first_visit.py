"""A first visit: the page loads, says where it is, and asks nobody else."""

from __future__ import annotations

from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard


def test_the_page_loads_without_a_problem(dashboard: Dashboard, tab: Opener) -> None:
    """Under its own policy, with no connection to the outside; it has a title."""
    visit = tab(dashboard, "/")
    assert "RunBus" in visit.page.title()
