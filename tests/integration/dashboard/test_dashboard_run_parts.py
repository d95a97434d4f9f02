"""What the API says of a run besides its curves, asked of the real engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runbus.clickhouse.tables import EPISODES
from tests.integration.clickhouse.conftest import Store, body, step_batch
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page, columns

pytestmark = pytest.mark.integration
ATTEMPT = 1_790_000_000_000_000
LATER = ATTEMPT + 60_000_000


def episode(number: int, **fields: Any) -> dict[str, Any]:
    """Return a finalised episode with every field of its record."""
    return finalised("parts", episode=number, revision=1, **fields) | {"labels": {}, "stop": "", "has_reset": True}


@pytest.fixture(scope="module")
def run(store: Store) -> str:
    """Return a run of one agent in two attempts; it dropped steps, misses some, and one stream acts in numbers."""
    actions = np.tile([-1.0, 0.0, 1.0, 3.0, 0.5], 4).astype("<f4")
    continuous = {"action_dtype": "<f4", "action_shape": [1], "action_width": 4, "action": actions.tobytes()}
    store.insert_steps(
        [
            step_batch("parts", 20),
            step_batch("parts", 20, 20) | {"dropped": 3},
            step_batch("parts", 20, 40) | {"dropped": 8},
            step_batch("parts", 20) | {"attempt": LATER},
            step_batch("parts", 20) | {"agent_id": "mover"} | continuous,
        ]
    )
    records = [
        episode(0),
        episode(1, reason="truncated"),
        episode(2, complete=False, missing_from=[25], missing_to=[27]),
        episode(3, length=0, reason="interrupted"),
        episode(1) | {"revision": 2},  # it takes the place of the truncated one
    ]
    store.insert(EPISODES, [body("EpisodeFinalized", record) for record in records])
    return "parts"


def test_reasons_count_the_newest_revision_of_each_episode(page: Page, run: str) -> None:
    """Each episode once, by how it ended; one of only a reset is named so."""
    counted = columns(page.get("/run/reasons", run=run), "reason", "count")
    assert counted == [("terminated", 3), ("only its reset", 1)]


def test_reasons_end_where_the_live_part_begins(page: Page, run: str) -> None:
    """What the sink has not committed is no part of it: it comes live."""
    page.below["episodes"] = {0: 2}
    try:
        counted = columns(page.get("/run/reasons", run=run), "reason", "count")
    finally:
        del page.below["episodes"]
    assert counted == [("terminated", 1), ("truncated", 1)]


def test_actions_are_counted_as_they_are(page: Page, run: str) -> None:
    """Whole numbers by themselves, in descending count; the action of a reset is none."""
    answer = page.get("/run/actions", run=run, agent="agent-0", attempt=LATER)
    assert sorted(columns(answer, "dimension", "action", "count")) == sorted(
        (-1, str(n), 1) for n in range(20) if n % 10
    )


def test_numbers_of_a_continuous_action_are_counted_in_bins(page: Page, run: str) -> None:
    """Twelve bins from the least to the largest; the largest is in the last one."""
    answer = page.get("/run/actions", run=run, agent="mover")
    found = {round(low, 6): count for low, count in columns(answer, "low", "count")}
    assert set(answer["columns"]["dimension"]) == {0}
    assert sum(found.values()) == 18
    assert found[round(-1 + 11 * 4 / 12, 6)] == 4


@pytest.mark.parametrize(
    ("x", "restart", "drops", "gap"),
    [
        ("seq", 59, [20, 40], 29),
        ("episode", 5, [2, 4], 2),
        ("time", LATER, [ATTEMPT + 20_000, ATTEMPT + 40_000], ATTEMPT + 29_000),
    ],
)
def test_marks_lie_on_the_axis_of_the_curves(
    page: Page, run: str, x: str, restart: int, drops: list[int], gap: int
) -> None:
    """A restart, the steps that were dropped since the mark before, the steps that an episode misses."""
    marks = columns(page.get("/run/marks", run=run, x=x), "kind", "x", "count")
    expected = [("restart", restart, 1), ("drop", drops[0], 3), ("drop", drops[1], 5), ("gap", gap, 3)]
    assert sorted(marks) == sorted(expected)


@pytest.mark.parametrize("path", ["/run/reasons", "/run/actions", "/run/marks"])
def test_the_sql_can_be_asked_as_it_is(page: Page, store: Store, run: str, path: str) -> None:
    """The statement behind the panel's SQL button gives the rows of the panel."""
    rows = page.get(path, run=run)["rows"]
    assert len(store.rows(page.raw(path, run=run, as_="sql").text)) == rows > 0
