"""The page of health while agents run, while the sink stands still, and behind a token."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runbus.local.stack import Endpoints, Stack
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard, live_agents

RUN = "all-of-it"
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def agents(endpoints: Endpoints) -> Iterator[str]:
    """Yield the name of a run that goes on while the tests look."""
    with live_agents(endpoints, RUN, "--agents", "2", "--rate", "20"):
        yield RUN


@contextmanager
def still(endpoints: Endpoints, process: str) -> Iterator[None]:
    """Stop a process of the stack for the length of a `with` block, without an end."""
    found = Stack(endpoints.config_file.parent).supervisor.processes()[process]
    os.kill(found.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(found.pid, signal.SIGCONT)


def balances(visit: Visit) -> list[dict[str, Any]]:
    """Return the audit of the run's streams."""
    streams = visit.inspect().get("identity", {}).get("streams", [])
    return [row for row in streams if row["run"] == RUN]


def true_again(visit: Visit, produced: int = 0) -> None:
    """Wait until the sums of both streams are true, of a moment with more steps than that."""
    visit.until(
        "both streams are true",
        lambda: (
            [row["state"] for row in balances(visit) if row["produced"] and row["produced"] > produced] == ["true"] * 2
        ),
    )


def stands(visit: Visit, kind: str) -> set[str]:
    """Return how the components of a kind stand."""
    found = visit.inspect().get("components", [])
    return {component["stands"] for component in found if component["kind"] == kind}


def test_every_step_is_accounted_for_while_agents_run(dashboard: Dashboard, agents: str, tab: Opener) -> None:
    """Produced is stored, dropped, in flight and dead letters, of one moment; then of a later one."""
    visit = tab(dashboard, "/health")
    true_again(visit)
    first = balances(visit)
    for row in first:
        assert row["produced"] == row["stored"] + row["dropped"] + row["in_flight"] + row["dead_letters"]
    true_again(visit, max(row["produced"] for row in first))
    assert {"ok"} == stands(visit, "live-metrics") == stands(visit, "episodes")
    assert "runbus.steps:0" in visit.text()


def test_a_sink_that_stands_still_is_said_and_nothing_turns_red(
    endpoints: Endpoints, dashboard: Dashboard, agents: str, tab: Opener
) -> None:
    """It is silent, the streams wait for it, and what was true stays what was true; then it catches up."""
    visit = tab(dashboard, "/health")
    true_again(visit)
    before = max(row["produced"] for row in balances(visit))
    with still(endpoints, "sink"):
        visit.until("its silence is said", lambda: "stop" in stands(visit, "sink"))
        visit.until("the streams wait", lambda: {row["state"] for row in balances(visit)} == {"moving"})
    true_again(visit, before)
    visit.until("it lives again", lambda: stands(visit, "sink") == {"ok"})


@pytest.fixture
def guarded(endpoints: Endpoints, tmp_path: Path) -> Iterator[Dashboard]:
    """Yield a dashboard that asks for a token."""
    found = Dashboard(endpoints, tmp_path / "dashboard.log", {"RUNBUS_DASHBOARD_TOKEN": TOKEN})
    found.start()
    yield found
    found.stop()


def test_a_page_with_a_token_asks_for_it_once(guarded: Dashboard, tab: Opener) -> None:
    """A wrong one is said; the right one leads to where one wanted to go, also from a link on another site."""
    visit = tab(guarded, "/health?x=1")
    visit.expected += [r"401 \(Unauthorized\)"]
    visit.page.fill("#token", "wrong")
    visit.page.click("button")
    visit.until_text("this is not the token")
    visit.page.fill("#token", TOKEN)
    visit.page.click("button")
    visit.until_text("says the watchdog")
    assert visit.page.url == f"{guarded.origin}/health?x=1"
    visit.page.goto(f"data:text/html,<a href='{guarded.origin}/health?x=2'>RunBus</a>")
    visit.page.click("a")
    visit.page.wait_for_url(f"{guarded.origin}/health?x=2")
    visit.until_text("says the watchdog")
