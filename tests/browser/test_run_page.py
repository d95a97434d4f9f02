"""The page Run: its curves are what ClickHouse has, one zoom and cursor hold for all, every state has its words."""

from __future__ import annotations

import functools
from contextlib import closing
from typing import Any

import pytest

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.local.apps import sources
from runbus.local.stack import Endpoints
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard, live_agents

Points = set[tuple[str, float, float]]

CHARTS = ("return", "length", "steps_per_second", "loss")  # of the run ppo-0


def stored(endpoints: Endpoints, run: str) -> Points:
    """Return agent, last seq and return of every finalised episode, as ClickHouse has them."""
    with closing(connect(ClickHouseSettings.load(sources(endpoints)))) as client:
        query = "SELECT agent_id, last_seq, `return` FROM episodes_latest WHERE run_id = {run:String}"
        return {(str(a), float(x), float(y)) for a, x, y in client.query(query, parameters={"run": run}).result_rows}


def drawn(visit: Visit, y: str = "return") -> Points:
    """Return agent, x and y of every point that the chart has; a point twice fails."""
    series = chart(visit, y).get("series", {})
    points = [(name, x, value) for name, one in series.items() for x, value in zip(one["x"], one["y"], strict=True)]
    assert len(points) == len(set(points))
    return set(points)


def more_than(visit: Visit, points: int) -> bool:
    """Return whether more points are drawn."""
    return len(drawn(visit)) > points


def chart(visit: Visit, y: str) -> dict[str, Any]:
    """Return what the page says of one chart."""
    found: dict[str, Any] = visit.inspect().get("charts", {}).get(y, {})
    return found


def opened(tab: Opener, dashboard: Dashboard, address: str, points: int) -> Visit:
    """Open a run and return once its returns are drawn."""
    visit = tab(dashboard, address)
    visit.expected.append("504")  # a question that a busy machine did not answer in time is asked again
    visit.until(f"{points} points are drawn", lambda: len(drawn(visit)) == points)
    return visit


def test_a_live_curve_is_what_clickhouse_has(stories: Endpoints, own_dashboard: Dashboard, tab: Opener) -> None:
    """Point for point, none twice, while agents walk and the dashboard is killed under the page."""
    run = "curve-live"
    own_dashboard.start()
    with live_agents(stories, run, "--agents", "2", "--rate", "50", "--length", "5") as walking:
        visit = tab(own_dashboard, f"/run?run={run}")
        visit.expected += ["net::ERR", "404"]  # it is dead, and does not know the run at first
        for _ in range(2):
            known = len(drawn(visit))
            visit.until("new points are drawn", functools.partial(more_than, visit, known + 20))
            own_dashboard.kill()
            own_dashboard.launch()
        walking.terminate()
        walking.wait(timeout=30)
    visit.until("all that is stored is drawn, and nothing else", lambda: stored(stories, run) == drawn(visit), 40)
    assert len(drawn(visit)) > 40
    assert visit.inspect()["run"]["run"] == run


def test_one_zoom_and_one_cursor_for_all_charts(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """A drag zooms all and is in the address; `u` undoes; a link shows the same again; the pointer moves one cursor."""
    del stories
    visit = opened(tab, dashboard, "/run?run=ppo-0", 60)
    page, plot = visit.page, visit.page.locator(".plot").first
    # Every chart widens the axis once it has its points; the logged number has the first and the last step.
    visit.until("logged numbers are drawn", lambda: all(chart(visit, y).get("xs") for y in CHARTS))
    whole = chart(visit, "loss")["scale"]
    assert whole == [1, 891]
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 150, box["y"] + 60)
    visit.until("the cursor is in all charts", lambda: chart(visit, "length")["cursor"] is not None)
    assert chart(visit, "return")["cursor"] == chart(visit, "length")["cursor"]
    assert abs(chart(visit, "return")["left"] - chart(visit, "length")["left"]) < 1
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60, steps=4)
    page.mouse.up()
    visit.until("the address has the range", lambda: "range=" in page.url)
    visit.until(
        "all charts show it", lambda: chart(visit, "length")["scale"] == chart(visit, "return")["scale"] != whole
    )
    visit.until("history is asked for the part", lambda: len(drawn(visit)) < 60)
    part, address = chart(visit, "return")["scale"], page.url.removeprefix(dashboard.origin)
    page.keyboard.press("u")
    visit.until("the zoom is undone", lambda: chart(visit, "return")["scale"] == whole and "range=" not in page.url)
    again = tab(dashboard, address)
    again.expected.append("504")
    again.until("the link shows the same part", lambda: chart(again, "return").get("scale") == part)


def test_a_chart_by_keyboard(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Arrows move the cursor, what is under it is said, `t` swaps the chart for its table and back."""
    del stories
    visit = opened(tab, dashboard, "/run?run=ppo-0", 60)
    page = visit.page
    page.locator(".plot").first.focus()
    page.keyboard.press("End")
    last = max(x for _, x, _ in drawn(visit))
    visit.until("the cursor is at the end", lambda: chart(visit, "return")["cursor"] == last)
    page.keyboard.press("ArrowLeft")
    before = sorted(drawn(visit), key=lambda point: point[1])[-2]
    visit.until("one back", lambda: chart(visit, "return")["cursor"] == before[1])
    spoken = page.locator(".chart [aria-live]").first
    visit.until("it is said", lambda: f"{before[1]:,.0f}: " in spoken.inner_text())
    page.keyboard.press("t")
    visit.until(
        "a table stands there",
        lambda: chart(visit, "return")["table"] and page.locator(".numbers tbody tr").count() == 25,
    )
    assert page.locator(".numbers").count() == 1
    page.keyboard.press("t")
    visit.until("the chart is back", lambda: chart(visit, "return")["scale"] and page.locator(".numbers").count() == 0)


def test_a_link_freezes_what_was_seen(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """`.` ends and begins to follow; the link that `s` copies has the end of what was seen."""
    del stories
    visit = opened(tab, dashboard, "/run?run=dqn-1", 60)
    page = visit.page
    page.keyboard.press(".")
    visit.until_text("frozen at")
    assert "until=" in page.url
    page.keyboard.press(".")
    visit.until("it follows", lambda: "until=" not in page.url)
    page.keyboard.press("s")
    visit.until_text("in the clipboard")
    link = str(page.evaluate("() => navigator.clipboard.readText()"))
    assert "until=" in link
    assert link.startswith(f"{dashboard.origin}/run?run=dqn-1")


def test_what_is_not_there_is_said(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """An unknown run has near names; only resets, and numbers that are none: each has its words."""
    del stories
    visit = tab(dashboard, "/run?run=ppo-99")
    visit.expected += ["404", "504"]
    visit.until_text("there is no run")
    near = visit.page.locator(".problem a").all_inner_texts()
    assert {"ppo-0", "ppo-1"} & set(near)
    resets = tab(dashboard, "/run?run=only-resets")
    resets.expected.append("504")
    resets.until_text("only its reset", 60)
    odd = tab(dashboard, "/run?run=odd-numbers")
    odd.expected.append("504")
    odd.until_text("not finite", 60)
    points = chart(odd, "return")["series"]["agent-0"]
    assert points["gaps"] == len([y for y in points["y"] if y is None]) > 0


def test_without_clickhouse_the_page_is_live(stories: Endpoints, own_dashboard: Dashboard, tab: Opener) -> None:
    """Every panel of history says that it is away; returns that come live are drawn."""
    own_dashboard.settings["CLICKHOUSE_URL"] = "http://127.0.0.1:9"
    own_dashboard.start()
    run = "live-only"
    visit = tab(own_dashboard, f"/run?run={run}")
    visit.expected += ["503", "404"]
    with live_agents(stories, run, "--agents", "1", "--rate", "50", "--length", "5"):
        visit.until("live returns are drawn", lambda: len(drawn(visit)) > 5)
        visit.until_text("live only")
        visit.until_text("History does not answer")


def test_q_shows_the_sql_of_the_panel_under_the_pointer(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Without one that of the first; once more, and it is gone. The list of runs has one too."""
    del stories
    visit = opened(tab, dashboard, "/run?run=ppo-0", 60)
    page, sql = visit.page, visit.page.locator(".sql pre")
    page.keyboard.press("q")
    visit.until("the first panel's SQL is there", lambda: sql.count() == 1 and "episodes" in sql.inner_text())
    page.keyboard.press("q")
    visit.until("it is gone", lambda: sql.count() == 0)
    page.get_by_role("region", name="Steps per second").hover()
    page.keyboard.press("q")
    visit.until("the SQL is that of steps", lambda: sql.count() == 1 and "FROM steps" in sql.inner_text())
    runs = tab(dashboard, "/?q=algo:ppo&sort=-steps")
    runs.until("the list is there", lambda: "window" in runs.inspect())
    runs.page.keyboard.press("q")
    runs.until("its SQL is there", lambda: "run_id" in "".join(runs.page.locator(".sql pre").all_inner_texts()))


def test_metrics_have_their_own_axes_and_late_scores_are_seen(
    stories: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """A learner's curves beside the run's, with all of its points; how episodes were judged, also on their own page."""
    visit = opened(tab, dashboard, "/run?run=learner&metrics=global_step:train/loss,epoch:eval/return", 6)
    loss, evaluation = "metric global_step:train/loss", "metric epoch:eval/return"
    visit.until("both are drawn", lambda: chart(visit, loss).get("xs") and chart(visit, evaluation).get("xs"))
    assert chart(visit, evaluation)["series"]["eval-0"]["y"] == [0, 10, 20, 30]
    assert chart(visit, loss)["shown"] == pytest.approx([0, 3000], abs=8)
    assert chart(visit, "return")["shown"] != chart(visit, loss)["shown"]
    for text in ("a person", "why does it <i>wait</i>?", "look-at-this", "s3://models/final.pt"):
        visit.until_text(text)
    visit.page.get_by_role("link", name="actor, episode 2").first.click()
    visit.until_text("too long")
    assert "it <b>waits</b> too long" in visit.text()
    assert "a model" in visit.text()
    visit.until_text("why does it <i>wait</i>?")
