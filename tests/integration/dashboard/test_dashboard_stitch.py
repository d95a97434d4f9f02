"""Where the past ends: an answer has every row below what the sink committed, and none from there on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runbus.clickhouse.tables import EPISODES, RUNS
from tests.integration.clickhouse.conftest import Store, body, step_batch
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page
from tests.integration.dashboard.test_dashboard_runs import ATTEMPT, started

pytestmark = pytest.mark.integration

RUN = {"run": "seam"}
AGENT = RUN | {"agent": "agent-0", "attempt": ATTEMPT}
MORE: dict[str, Any] = {"labels": {"group": "g"}, "stop": "", "has_reset": True}


@pytest.fixture(scope="module", autouse=True)
def stored(store: Store) -> None:
    """Store 10 records of 10 steps at offsets 0 to 9, an episode each; episode 3 was finalised again, at offset 10."""
    store.insert_steps([step_batch("seam", 10, 10 * n) for n in range(10)])
    episodes = [finalised("seam", episode=n, return_=float(n)) | MORE for n in range(10)]
    episodes.append(finalised("seam", episode=3, revision=1, return_=300.0) | MORE)
    store.insert(EPISODES, [body("EpisodeFinalized", e) for e in episodes])
    store.insert(RUNS, [body("RunEvent", started("seam", 0))])


@pytest.fixture
def committed(page: Page) -> Iterator[dict[str, dict[int, int]]]:
    """Yield what the sink has committed, for the test to say."""
    yield page.below
    page.below.clear()


@pytest.mark.parametrize("offset", [0, 4, 10, 11, 10_000])
def test_points_end_at_the_offset(page: Page, committed: dict[str, dict[int, int]], offset: int) -> None:
    """Of steps and of episodes; a newer revision beyond it does not take the older one away."""
    committed |= {"episodes": {0: offset}, "steps": {0: offset}}
    returns = [float(n) for n in range(min(offset, 10))]
    if offset > 10:
        returns[3] = 300.0
    curve = page.get("/run/curve", **RUN)
    assert curve["columns"]["y"] == returns
    assert curve["fresh"]["below"] == {"runbus.episodes:0": offset}
    assert page.get("/run/episodes", sort="episode", descending=False, **RUN)["columns"]["return"] == returns
    rewards = page.get("/run/curve", y="reward", bins=1, **RUN)
    assert sum(rewards["columns"].get("count", [])) == 9 * min(offset, 10)
    status = page.raw("/episode", episode=4, **AGENT).status_code
    assert status == (200 if offset > 4 else 404)
    assert page.get("/episode/steps", episode=4, **AGENT)["rows"] == (10 if offset > 4 else 0)
    assert page.get("/groups", **RUN)["rollouts"] == min(offset, 10)


def test_a_partition_of_which_the_sink_says_nothing_is_read_to_its_end(
    page: Page, committed: dict[str, dict[int, int]]
) -> None:
    """As before its first heartbeat, and for partitions that another process of it has."""
    assert page.get("/run/curve", **RUN)["rows"] == 10
    committed |= {"episodes": {1: 2}}
    assert page.get("/run/curve", **RUN)["rows"] == 10


def test_the_answer_says_where_it_ends_in_every_form(page: Page, committed: dict[str, dict[int, int]]) -> None:
    """CSV and SQL end there too."""
    committed |= {"episodes": {0: 4}}
    assert len(page.raw("/run/curve", as_="csv", **RUN).text.splitlines()) == 1 + 4
    assert "map(0, 4)" in page.raw("/run/curve", as_="sql", **RUN).text


def test_rows_of_a_topic_that_was_created_again_are_all_there(
    page: Page, committed: dict[str, dict[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their offsets are of another log: what the sink has committed of the new one says nothing of them."""
    committed |= {"episodes": {0: 2}, "steps": {0: 2}}
    assert page.get("/run/curve", **RUN)["rows"] == 2
    for topic in ("episodes", "steps"):
        monkeypatch.setitem(page.topic_ids, f"runbus.{topic}", "topic-2")
    assert page.get("/run/curve", **RUN)["rows"] == 10
    assert page.get("/episode", episode=4, **AGENT)["columns"]["rows"] == [10]
