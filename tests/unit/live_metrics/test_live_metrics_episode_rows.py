"""Rows by episode: the cheap way and grouping agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.live_metrics.episode_rows import _grouped, episode_rows
from tests.unit.live_metrics.rows import START_US, Row, batch


@given(
    st.lists(
        st.builds(
            Row,
            step=st.integers(0, 3),
            reward=st.integers(-4, 4),
            ts=st.integers(0, 10**7),
            episode=st.integers(0, 4),
            env=st.sampled_from([0, 0, 0, 1]),
            terminated=st.integers(0, 1),
            truncated=st.integers(0, 1),
        ),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_slices_and_grouping_agree(rows: list[Row], ordered: bool) -> None:
    """Whatever the rows are, ordered or not, both ways lead to the same rows by episode."""
    if ordered:
        rows = sorted((row._replace(env=0) for row in rows), key=lambda row: row.episode)
    columns = batch(rows).columns
    assert episode_rows(columns, None) == _grouped(columns, None)


@pytest.mark.parametrize("episodes", [1, 9, 10, 30])
def test_many_short_episodes_in_one_batch(episodes: int) -> None:
    """Few or many episodes, each has its own steps, sum of rewards, times and flags."""
    rows = [Row(s, s * 1.0, e * 3 + s, e, 5, s == 2, e % 2) for e in range(episodes) for s in range(3)]
    found = episode_rows(batch(rows).columns, None)
    assert [p.episode for p in found] == list(range(episodes))
    assert {(p.env, p.steps, p.return_, p.terminated) for p in found} == {(5, 2, 3.0, True)}
    assert [(p.first_ts, p.last_ts) for p in found] == [
        (START_US + e * 3, START_US + e * 3 + 2) for e in range(episodes)
    ]


def test_only_fresh_rows_are_taken_and_a_reset_has_no_reward() -> None:
    """Rows that had arrived before are left out, and so is the reward of a reset."""
    rows = [Row(0, 100.0), Row(1, 1.0), Row(2, 2.0), Row(3, 4.0)]
    columns = batch(rows).columns
    assert episode_rows(columns, None)[0].return_ == 7.0
    assert [(p.steps, p.return_) for p in episode_rows(columns, np.array([True, False, True, True]))] == [(2, 6.0)]
