"""Nobody is left out: axe finds nothing serious on any page, in both themes, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbus.local.stack import Endpoints
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.browser.tour import NAMES, stop

_AXE = Path(__file__).parents[1] / "page" / "node_modules" / "axe-core" / "axe.min.js"
_OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) =>
    [one.impact, one.id, one.help, ...one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))].join(" | "));
}"""


def findings(visit: Visit) -> list[str]:
    """Return what axe has to say that is serious or critical."""
    if not visit.page.evaluate("() => 'axe' in window"):
        visit.page.evaluate(_AXE.read_text())  # by the debugger: the page's policy would not let it in
    return list(visit.page.evaluate(_RUN))


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(stories: Endpoints, dashboard: Dashboard, tab: Opener, name: str) -> None:
    """Contrast, names of controls, roles, order of headings: at 1280 and 390 px, dark and light."""
    if not _AXE.is_file():
        pytest.fail("axe-core is missing: run `make test-browser`, or `npm ci` in tests/page")
    seen = stop(stories, name)
    visit = tab(dashboard, seen.address)
    visit.expected += seen.expected
    visit.until_text(seen.shows)
    found = {}
    for width in (1280, 390):
        visit.page.set_viewport_size({"width": width, "height": 844})
        for theme in ("dark", "light"):
            visit.page.emulate_media(color_scheme=theme)
            found[width, theme] = findings(visit)
        assert visit.page.evaluate(_OVERFLOW) <= 0, f"the page is wider than {width} px"
    assert {where: said for where, said in found.items() if said} == {}
