"""What the page does as its server hangs, dies and comes back, and while nobody looks at it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runbus.local.stack import Endpoints, Stack
from tests.browser.asked import rows
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard, live_agents, start_stack

RUN = "it-goes-on"


@pytest.fixture(scope="module")
def agents(endpoints: Endpoints) -> Iterator[str]:
    """Yield the name of a run that goes on while the tests look."""
    with live_agents(endpoints, RUN, "--agents", "2", "--rate", "20"):
        yield RUN


def state(visit: Visit) -> str:
    """Return what the page says about its stream."""
    return str(visit.inspect().get("live", {}).get("state"))


def newest(visit: Visit) -> int:
    """Return the time of the newest step that the page knows, microseconds since the epoch."""
    rows = visit.inspect().get("live", {}).get("channels", {}).get("runs", {})
    return int(rows.get(RUN, {}).get("newest_ts") or 0)


def moves(visit: Visit) -> None:
    """Return once a step is newer than the newest now."""
    before = newest(visit)
    visit.until("newer steps come", lambda: newest(visit) > before)


def test_a_killed_server_is_said_and_the_page_goes_on_by_itself(
    own_dashboard: Dashboard, agents: str, tab: Opener
) -> None:
    """SIGKILL: "no connection" at once; after the start it is live again without a reload."""
    own_dashboard.start()
    visit = tab(own_dashboard, "/")
    visit.expected += ["Failed to load resource", "ERR_CONNECTION", "ERR_INCOMPLETE"]
    moves(visit)
    own_dashboard.kill()
    visit.until_text("no connection")
    own_dashboard.launch()
    visit.until("it is live again", lambda: state(visit) == "live")
    moves(visit)


def test_a_server_that_hangs_is_said(own_dashboard: Dashboard, agents: str, tab: Opener) -> None:
    """SIGSTOP: no error comes, so the page notices the silence itself; SIGCONT: it goes on."""
    own_dashboard.start()
    visit = tab(own_dashboard, "/")
    moves(visit)
    own_dashboard.pause()
    visit.until("the silence is said", lambda: state(visit) == "late")
    assert "late" in visit.text()
    own_dashboard.resume()
    visit.until("it is live again", lambda: state(visit) == "live")
    moves(visit)


def test_a_broker_that_does_not_answer_is_said_and_history_stays(tmp_path: Path, tab: Opener) -> None:
    """SIGSTOP of Kafka: the server answers, but what it pushes cannot be new; what was stored can be looked at.

    On a stack of its own: a sink that a broker threw out may need a minute to come back, and others would wait for it.
    """
    stack, endpoints = start_stack(tmp_path / "home")
    dashboard = Dashboard(endpoints, tmp_path / "dashboard.log")
    try:
        dashboard.start()
        with live_agents(endpoints, RUN, "--agents", "1", "--rate", "50", "--length", "5"):
            runs, run = tab(dashboard, "/"), tab(dashboard, f"/run?run={RUN}")
            run.expected += ["404", "50[0-9]", "net::ERR"]  # the last: it is stopped before its tabs are closed
            runs.expected.append("net::ERR")
            moves(runs)
            of_run = "SELECT 1 FROM episodes_latest WHERE run_id = {r:String} LIMIT 5"
            run.until("episodes are stored", lambda: len(rows(endpoints, of_run, r=RUN)) == 5)
            with stopped(endpoints, "kafka"):
                runs.until("the silence of Kafka is said", lambda: state(runs) == "silent")
                runs.until_text("no answer from Kafka")
                assert endpoints.bootstrap_servers in str(runs.page.locator(".live.silent").get_attribute("title"))
                runs.until("the list is grey", lambda: runs.page.locator(".panel.stale").count() == 1)
                run.page.reload()
                run.until("what is stored is drawn", lambda: _returns(run) >= 5)
                run.until("and why nothing new can come", lambda: run.page.locator(".panel.stale").count() >= 1)
            runs.until("it is live again", lambda: state(runs) == "live", 60)
            moves(runs)
    finally:
        dashboard.stop()
        stack.down()


@contextmanager
def stopped(endpoints: Endpoints, name: str) -> Iterator[None]:
    """Stop a process of the stack, for the length of a `with` block."""
    processes = {one.process.name: one.process.pid for one in Stack(endpoints.config_file.parent).status().processes}
    os.kill(processes[name], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(processes[name], signal.SIGCONT)


def _returns(visit: Visit) -> int:
    series = visit.inspect().get("charts", {}).get("return", {}).get("series", {})
    return sum(len(one["x"]) for one in series.values())


def test_a_hidden_tab_lets_its_stream_go_and_takes_it_up_again(dashboard: Dashboard, agents: str, tab: Opener) -> None:
    """A browser has six connections to a server: tabs that nobody sees must not hold them."""
    visit = tab(dashboard, "/")
    moves(visit)
    _hide(visit, hidden=True)
    visit.until("the stream is closed", lambda: state(visit) == "paused", 2)
    known = newest(visit)
    _hide(visit, hidden=False)
    visit.until("it goes on", lambda: newest(visit) > known)
    last = [url for url in visit.requests if "/api/v1/stream" in url][-1]
    assert "since=" in last


def _hide(visit: Visit, *, hidden: bool) -> None:
    """Let the page believe that its tab is hidden: a headless browser shows all of its tabs."""
    visit.page.evaluate(
        """(hidden) => {
          const is = (name, value) => Object.defineProperty(document, name, {configurable: true, get: () => value});
          is("hidden", hidden);
          is("visibilityState", hidden ? "hidden" : "visible");
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
