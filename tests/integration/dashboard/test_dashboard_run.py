"""What the API says of a run, asked of the real engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runbus.clickhouse.tables import EPISODES
from tests.integration.clickhouse.conftest import Store, body, step_batch
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page, columns, unpacked

pytestmark = pytest.mark.integration
ATTEMPT = 1_790_000_000_000_000
MORE: dict[str, Any] = {"labels": {}, "stop": "", "has_reset": True}


@pytest.fixture(scope="module")
def run(store: Store) -> str:
    """Return a run of 1,000 steps in 100 episodes; episode n has the return n."""
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


def test_a_bin_says_all_of_its_points(page: Page, store: Store) -> None:
    """Least, largest, first, last, sum and quantiles as numpy has them; what is not finite is counted apart."""
    random = np.random.default_rng(3)
    reward = random.normal(size=2_000)
    reward[[5, 700]] = [np.nan, np.inf]
    step = np.ones(2_000, "<i4")
    batch = step_batch("bins", 2_000) | {"reward": reward.astype("<f8").tobytes(), "step": step.tobytes()}
    store.insert_steps([batch])
    answer = page.get("/run/curve", run="bins", y="reward", bins=4)
    assert (answer["width"], answer["columns"]["bin"]) == (512, [0, 512, 1024, 1536])
    for number in range(4):
        whole = reward[512 * number : 512 * (number + 1)]
        points = whole[np.isfinite(whole)]
        found = {name: values[number] for name, values in answer["columns"].items()}
        assert (found["count"], found["bad"]) == (len(points), len(whole) - len(points))
        ends = [found[name] for name in ("min", "max", "first", "last")]
        assert ends == [points.min(), points.max(), points[0], points[-1]]
        assert found["sum"] == pytest.approx(points.sum())
        assert found["p10"] <= np.median(points) <= found["p90"]
    part = page.get("/run/curve", run="bins", y="reward", bins=4, from_=600, to=2_000)
    assert part["width"] == 512
    assert part["columns"]["bin"] == [512, 1024, 1536]
    assert part["columns"]["sum"] == answer["columns"]["sum"][1:]


def test_a_line_each_and_one_of_all(page: Page, store: Store) -> None:
    """Of the run, of each agent, of each stream; a team's return is the sum of its agents'."""
    for agent in ("one", "two"):
        for attempt in (ATTEMPT, ATTEMPT + 1):
            of = [finalised("lines", agent, n, attempt=attempt, return_=1.0 + n) | MORE for n in range(30)]
            store.insert(EPISODES, [body("EpisodeFinalized", e | {"attempt": attempt}) for e in of])
    asked = {"run": "lines", "x": "episode", "bins": 4}
    counts = {}
    for by in ("run", "agent", "stream"):
        columns_ = page.get("/run/curve", by=by, **asked)["columns"]
        counts[by] = list(zip(columns_["agent"], columns_["attempt"], columns_["bin"], columns_["count"], strict=True))
    assert counts["run"] == [("", -1, 8 * n, 32 if n < 3 else 24) for n in range(4)]
    assert counts["agent"] == [(a, -1, 8 * n, 16 if n < 3 else 12) for a in ("one", "two") for n in range(4)]
    assert len(counts["stream"]) == 16
    teams = page.get("/run/curve", y="team_return", run="lines", x="episode")["columns"]
    assert teams["y"] == [2.0 * (1 + n) for n in range(30)]
    newest = page.get("/run/teams", run="lines", most=2)
    assert columns(newest, "episode", "agents", "team_return") == [(29, 2, 60.0), (28, 2, 58.0)]
    assert page.get("/run/teams", run="lines", most=2, after=newest["next"])["columns"]["episode"] == [27, 26]


def test_what_was_logged(page: Page, store: Store) -> None:
    """Names of finalised episodes, and of the newest steps of what runs; each is a curve."""
    store.insert_steps(
        [step_batch("logged", 10) | {"extras": [{"name": "loss", "rows": b"\x02\0\0\0", "values": b"\0" * 8}]}]
    )
    of = finalised("logged") | MORE | {"extras_sum": {"entropy": 1.0}}
    store.insert(EPISODES, [body("EpisodeFinalized", of)])
    assert page.get("/run/logged", run="logged")["columns"] == {"name": ["entropy", "loss"], "episodes": [1, 0]}
    assert columns(page.get("/run/curve", run="logged", y="loss"), "x", "y") == [(2, 0.0)]
