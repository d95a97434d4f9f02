"""A first visit: little is loaded, nobody else is asked, and every view shows its data without a problem."""

from __future__ import annotations

import pytest

from runbus.local.stack import Endpoints
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.browser.tour import NAMES, stop

#: What came over the wire, compressed: everything but heads, and answers of the API.
_TRANSFER = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.encodedBodySize, 0)"""
#: 70 KB until the first data are there (tests/page/budget.test.js), and the parts that are loaded behind them.
_MOST_BYTES = 80_000


@pytest.mark.parametrize("name", NAMES)
def test_a_cold_load_is_small_and_has_its_data(
    stories: Endpoints, dashboard: Dashboard, tab: Opener, name: str
) -> None:
    """Under the page's own policy, with no connection to the outside, in a profile that has nothing yet."""
    seen = stop(stories, name)
    visit = tab(dashboard, seen.address, theme="light")
    visit.expected += seen.expected
    visit.until_text(seen.shows)
    assert "RunBus" in visit.page.title()
    assert 10_000 < visit.page.evaluate(_TRANSFER) <= _MOST_BYTES
