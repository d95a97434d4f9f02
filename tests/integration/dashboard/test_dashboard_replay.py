"""A replay of a stored run, on the real engine."""

from __future__ import annotations

import json

import pytest

from runbus.clickhouse.tables import EPISODES
from tests.integration.clickhouse.conftest import Store, body
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page, columns

pytestmark = pytest.mark.integration


def test_a_replay_ends_with_what_history_has_bit_for_bit(page: Page, store: Store) -> None:
    """Of an episode that was finalised twice the newest revision; numbers that are none too."""
    returns = [0.1, float("nan"), -3.5, 1e300]
    rows = [finalised("replayed", episode=n, return_=value) for n, value in enumerate(returns)]
    rows.append(finalised("replayed", episode=2, return_=7.25, revision=1))
    more = {"labels": {"split": "test"}, "stop": "", "has_reset": True}
    store.insert(EPISODES, [body("EpisodeFinalized", row | more) for row in rows])
    events = page.raw("/stream", view="run", run="replayed", replay=1_000_000).text.strip().split("\r\n\r\n")
    frames = [json.loads(event.rpartition("data: ")[2]) for event in events if "data: " in event]
    found = [row for frame in frames for row in frame["up"]["episodes"].values()]
    names = ("episode", "revision", "return", "length", "reason", "first_seq", "last_seq", "last_ts")
    stored = columns(page.get("/run/episodes", run="replayed", sort="episode", descending=False), *names)
    assert sorted([tuple(row[name] for name in names) for row in found], key=lambda row: row[0]) == stored
    assert len(found) == 4
    assert frames[-1]["replay"]["over"] is True
