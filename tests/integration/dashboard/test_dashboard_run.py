"""What the API says of a run, asked of the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from runbus.clickhouse.tables import EPISODES
from tests.integration.clickhouse.conftest import Store, body, step_batch
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page, columns, unpacked

pytestmark = pytest.mark.integration
ATTEMPT = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def run(store: Store) -> str:
    """Return a run of 1,000 steps in 100 episodes: episode n has the return n."""
    store.insert_steps([step_batch("run-1", 100, 100 * n) for n in range(10)])
    episodes = [
        finalised("run-1", episode=n, return_=float(n)) | {"labels": {}, "stop": "", "has_reset": True}
        for n in range(100)
    ]
    store.insert(EPISODES, [body("EpisodeFinalized", e) for e in episodes])
    return "run-1"


def test_a_curve_of_few_points_is_these_points(page: Page, run: str) -> None:
    """Fewer points than pixels come as they are."""
    answer = page.get("/run/curve", run=run)
    assert answer["width"] == 0
    assert columns(answer, "x", "y") == [(10 * n + 9, n) for n in range(100)]


def test_bins(page: Page, run: str) -> None:
    """Bins."""
    answer = page.get("/run/curve", run=run, bins=8)
    assert answer["width"] == 128
    assert answer["columns"]["bin"] == [128 * n for n in range(8)]
    assert sum(answer["columns"]["count"]) == 100
    assert sum(answer["columns"]["sum"]) == 4950


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/run", {}),
        ("/run/episodes", {"most": 10}),
        ("/run/curve", {"y": "reward", "by": "stream", "bins": 10}),
        ("/run/curve", {"y": "steps_per_second", "x": "relative"}),
        ("/run/curve", {"y": "loss", "x": "time"}),
        ("/episode", {"agent": "agent-0", "attempt": ATTEMPT, "episode": 3}),
        ("/episode/steps", {"agent": "agent-0", "attempt": ATTEMPT, "episode": 3, "most": 3}),
    ],
)
def test_every_answer_has_every_form(page: Page, store: Store, run: str, path: str, more: dict[str, Any]) -> None:
    """JSON and columns say the same; CSV and Arrow are ClickHouse's own; the SQL can be asked as it is."""
    shown = page.get(path, run=run, **more)
    packed = page.raw(path, run=run, as_="columns", **more)
    assert packed.headers["content-type"] == "application/vnd.runbus.columns"
    assert unpacked(packed.content)["rows"] == shown["rows"]
    assert page.raw(path, run=run, as_="csv", **more).text.startswith('"')
    assert page.raw(path, run=run, as_="arrow", **more).content.startswith(b"\xff\xff\xff\xff")
    sql = page.raw(path, run=run, as_="sql", **more).text
    assert len(store.rows(sql)) >= shown["rows"]
