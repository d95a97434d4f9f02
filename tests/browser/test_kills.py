"""The server may die at any moment: what the page has painted in the end is what ClickHouse has, point for point."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest

from runbus.local.stack import Endpoints
from tests.browser.asked import rows
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard, live_agents

#: An episode takes 1.5 s: however slow the machine, there are fewer than the chart has bins, so it has each as a point.
_LENGTH = "30"
_PAINTED = "() => window.runbus?.inspect().charts?.return?.series ?? {}"
Points = dict[str, dict[float, float]]


def painted(visit: Visit) -> Points:
    """Return agent -> episode -> return, as the chart has it; no episode may be there twice."""
    found: dict[str, Any] = visit.page.evaluate(_PAINTED)
    for agent, series in found.items():
        assert len(set(series["x"])) == len(series["x"]), f"{agent} has an episode twice"
    return {agent: dict(zip(series["x"], series["y"], strict=True)) for agent, series in found.items()}


def stored(endpoints: Endpoints, run: str) -> Points:
    """Return the same from ClickHouse."""
    found: Points = {}
    sql = "SELECT agent_id, episode, return FROM episodes_latest WHERE run_id = {run:String}"
    for agent, episode, value in rows(endpoints, sql, run=run):
        found.setdefault(agent, {})[float(episode)] = value
    return found


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_the_painted_series_is_what_is_stored_whenever_the_server_died(
    endpoints: Endpoints, own_dashboard: Dashboard, tab: Opener, kills: int
) -> None:
    """SIGKILL after SIGKILL while agents record: no point is missing, doubled or another, at no moment."""
    run, moments, seen = f"killed-{uuid.uuid4().hex[:6]}", random.Random(kills), list[Points]()
    own_dashboard.start()
    with live_agents(endpoints, run, "--agents", "2", "--rate", "20", "--length", _LENGTH):
        visit = tab(own_dashboard, f"/run?run={run}&x=episode&by=agent")
        visit.expected += ["Failed to load resource", "ERR_"]
        for _ in range(kills):
            before = sum(map(len, painted(visit).values()))
            visit.until("new points come", lambda: sum(map(len, painted(visit).values())) > before, 90)  # noqa: B023
            visit.page.wait_for_timeout(moments.uniform(0, 1500))  # at any moment of a frame, a question, a start
            own_dashboard.kill()
            seen.append(painted(visit))
            own_dashboard.launch()
    visit.until("all is painted that is stored", lambda: painted(visit) == stored(endpoints, run) != {}, 120)
    final = stored(endpoints, run)
    for points in seen:
        assert all(final[agent][x] == y for agent, series in points.items() for x, y in series.items())
