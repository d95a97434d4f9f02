"""What the tests in a browser share: one stack with its stories, one dashboard, one Chromium; a tab for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from runbus.local.stack import Endpoints, Stack
from tests.browser import chromium
from tests.browser.asked import rows
from tests.browser.chromium import Theme, Visit
from tests.browser.serving import Dashboard, start_stack
from tests.browser.stories import record

_HERE = Path(__file__).parent

Opener = Callable[..., Visit]


@pytest.hookimpl(tryfirst=True)  # before -m leaves out what is not marked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder: only `make test-browser` and `make test-browser-long` run them."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Yield a Chromium."""
    chromium.executable()
    with sync_playwright() as playwright:
        found = chromium.launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="session")
def endpoints(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Yield a running stack; nothing is started where there is no Chromium.

    RUNBUS_TEST_BROWSER_HOME names the home of one that runs already: it saves its start to who writes tests.
    """
    if home := os.environ.get("RUNBUS_TEST_BROWSER_HOME"):
        running = Stack(Path(home)).status().endpoints
        assert running is not None, f"no stack runs in {home}"
        yield running
        return
    stack, found = start_stack(tmp_path_factory.mktemp("browser") / "home")
    yield found
    stack.down()


@pytest.fixture(scope="session")
def stories(endpoints: Endpoints) -> Endpoints:
    """Return the stack once the runs of stories.py are stored."""
    if not rows(endpoints, "SELECT 1 FROM run_summary WHERE run_id = 'talk' AND outcome = 'completed'"):
        record(endpoints)
    return endpoints


@pytest.fixture(scope="session")
def dashboard(endpoints: Endpoints) -> Iterator[Dashboard]:
    """Yield a dashboard that no test may stop; see `own_dashboard` for one that it may."""
    found = Dashboard(endpoints, endpoints.config_file.parent / "logs" / "dashboard.log")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def own_dashboard(endpoints: Endpoints, tmp_path: Path) -> Iterator[Dashboard]:
    """Yield a dashboard of this test alone, not started yet."""
    found = Dashboard(endpoints, tmp_path / "dashboard.log")
    yield found
    found.stop()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Opener]:
    """Yield what opens a tab: tab(dashboard, "/address", theme=..., width=...).

    Afterwards no tab may have had a problem: an error, a violated policy, a dialog, a request to elsewhere.
    """
    contexts, visits = [], list[Visit]()

    def opened(dashboard: Dashboard, address: str = "/", theme: Theme = "dark", width: int = 1280) -> Visit:
        context, found = chromium.visit(browser, dashboard.origin, theme, width)
        contexts.append(context)
        visits.append(found)
        found.open(address)
        return found

    yield opened
    for context in contexts:
        context.close()
    assert [problem for found in visits for problem in found.unexpected()] == []
