"""Nothing there, something wrong: the page says what, and what to do."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace

import pytest

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.apps import LOCAL_PARTITIONS, sources
from runbus.local.stack import Endpoints
from tests.browser.asked import episode_address
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard, live_agents

#: Address -> what the page says there.
SAID = {
    "/nowhere": "There is no page at this address",
    "/run?run=": "Which run?",
    "/run?run=ppo-99": "ppo-0",  # a name that comes near
    "/episode?run=ppo-0": "This address names no episode",
    "/?q=algo:sarsa": "No run has algo:sarsa",
}


@pytest.mark.parametrize("where", SAID)
def test_the_page_says_what_is_not_there(stories: Endpoints, dashboard: Dashboard, tab: Opener, where: str) -> None:
    """In words, with a way on; never an empty page or a spinner."""
    visit = tab(dashboard, where)
    visit.expected += ["404"]
    visit.until_text(SAID[where])


def test_an_unknown_episode_is_said(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """The run is there, the episode is not."""
    visit = tab(dashboard, episode_address(stories, "ppo-0", episode=5000))
    visit.expected += ["404"]
    visit.until("it is said", lambda: visit.page.locator(".problem").count() == 1)


def test_a_run_whose_first_episode_goes_on_is_said(endpoints: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """There is no return to draw yet, and the steps are."""
    with live_agents(endpoints, "first-episode", "--agents", "1", "--rate", "50", "--length", "1000000"):
        visit = tab(dashboard, "/run?run=first-episode")
        visit.expected += ["404"]  # ClickHouse does not have it yet
        visit.until_text("No episode has ended yet")
        chart = "steps_per_second"
        visit.until("steps are drawn", lambda: visit.inspect().get("charts", {}).get(chart, {}).get("series"))


def test_numbers_that_are_none_are_gaps_that_are_counted(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """NaN and infinities are not drawn, not zero, and the page says how many there are."""
    visit = tab(dashboard, "/run?run=odd-numbers&x=episode")
    drawn = "() => window.runbus?.inspect().charts?.return?.series['agent-0']"
    visit.until("the chart is there", lambda: visit.page.evaluate(drawn))
    series = visit.page.evaluate(drawn)
    assert series["y"] == [1.0, None, None, None, 1e308, -1e-308, 0.0]
    assert series["gaps"] == 3


def test_observations_that_were_left_out_are_said(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """A box that names the recorder's option stands in their place."""
    visit = tab(dashboard, episode_address(stories, "left-out", step=2))
    visit.until_text("observations=")


def test_what_retention_took_is_said(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """On the page of a run whose partition it was, whatever x is; Health names the offsets."""
    with closing(connect(ClickHouseSettings.load(sources(stories)))) as client:
        client.command(
            "INSERT INTO lost_ranges SELECT 'runbus.steps', any(kafka_topic_id), any(kafka_partition), "
            "1000001, 1000007, 'sink', 'retention', now64(6) FROM steps WHERE run_id = 'images'"
        )
    visit = tab(dashboard, "/run?run=images")
    visit.until_text("Retention took 7 records")
    health = tab(dashboard, "/health")
    health.until_text("1,000,007")


def test_without_clickhouse_what_is_live_is_shown(endpoints: Endpoints, own_dashboard: Dashboard, tab: Opener) -> None:
    """Each panel that needs history says that it does not answer; the curve goes on."""
    own_dashboard.settings["CLICKHOUSE_URL"] = "http://127.0.0.1:1"
    own_dashboard.start()
    with live_agents(endpoints, "no-history", "--agents", "1", "--rate", "20", "--length", "5"):
        visit = tab(own_dashboard, "/run?run=no-history")
        visit.expected += ["50[0-9]"]
        visit.until_text("History does not answer")
        visit.until("points come live", lambda: _points(visit.inspect()) > 2)


def _points(said: dict[str, dict[str, dict[str, dict[str, dict[str, list[float]]]]]]) -> int:
    series = said.get("charts", {}).get("return", {}).get("series", {})
    return sum(len(one["x"]) for one in series.values())


def test_a_clock_that_is_off_is_said_and_nobody_is_lost_for_it(
    stories: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """Five minutes behind: an agent that waits is stalled, not lost; who is silent is told by the broker's clock."""
    with live_agents(stories, "wrong-clock", "--agents", "1", "--rate", "0.05", "--clock", "-300"):
        visit = tab(dashboard, "/run?run=wrong-clock")
        visit.expected.append("404")  # until its first step is stored
        visit.until("the clock is said", lambda: re.search(r"clock (5 min 0|4 min 59).* behind", visit.text()))
        visit.until("it waits", lambda: [row["state"] for row in visit.inspect()["run"]["streams"]] == ["stalled"])


def test_the_first_run_of_an_empty_log_appears_without_a_reload(
    endpoints: Endpoints, own_dashboard: Dashboard, tab: Opener
) -> None:
    """Before it the page shows the three lines that record one."""
    prefix = "empty."
    kafka = replace(KafkaSettings.load(sources(endpoints)), topic_prefix=prefix)
    apply_topics(kafka, LOCAL_PARTITIONS)
    own_dashboard.settings["RUNBUS_TOPIC_PREFIX"] = prefix
    own_dashboard.start()
    visit = tab(own_dashboard, "/")
    visit.until_text("No run is recorded yet")
    assert "RecordSteps(" in visit.text()
    with live_agents(endpoints, "the-first", "--agents", "1", prefix=prefix):
        visit.until_text("the-first")
