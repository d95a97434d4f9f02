"""The rows of a batch grouped by episode."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.schemas.batch import StepColumns
from runbus.streams.segments import Segments, segments


class Row(NamedTuple):
    """One row of a batch."""

    env: int
    episode: int
    step: int
    reward: float = 0.0
    terminated: int = 0
    truncated: int = 0


def columns(rows: list[Row]) -> StepColumns:
    """Return rows as columns; a row's time is a thousand times its index."""
    return StepColumns(
        env=np.array([r.env for r in rows], "<i4"),
        episode=np.array([r.episode for r in rows], "<i8"),
        step=np.array([r.step for r in rows], "<i4"),
        ts=np.arange(len(rows), dtype="<i8") * 1000,
        reward=np.array([r.reward for r in rows], "<f8"),
        terminated=np.array([r.terminated for r in rows], "u1"),
        truncated=np.array([r.truncated for r in rows], "u1"),
    )


def cut(rows: list[Row], fresh: list[bool] | None = None, first_seq: int = 0) -> Segments:
    """Return the segments of rows of which at least one is fresh."""
    found = segments(first_seq, columns(rows), None if fresh is None else np.array(fresh))
    assert found is not None
    return found


def test_one_episode_is_one_segment() -> None:
    """Sums, ends and times of the rows of one episode."""
    found = cut([Row(0, 3, 4, 1.5), Row(0, 3, 5, -2.0), Row(0, 3, 6, 0.5, terminated=1)], first_seq=100)
    assert len(found) == 1
    assert (found.rows.tolist(), found.steps.tolist(), found.return_.tolist()) == ([3], [3], [0.0])
    assert (found.min_reward.tolist(), found.max_reward.tolist(), found.sum_squares.tolist()) == ([-2.0], [1.5], [6.5])
    assert (found.first_seq.tolist(), found.last_seq.tolist()) == ([100], [102])
    assert (found.first_ts.tolist(), found.last_ts.tolist()) == ([0], [2000])
    assert (found.contiguous.tolist(), found.terminated.tolist(), found.early_end.tolist()) == ([True], [True], [False])


def test_a_reset_is_a_row_but_no_step() -> None:
    """A reset counts for seq and time, not for return, length and bounds."""
    found = cut([Row(0, 0, 0, 99.0), Row(0, 0, 1, 2.0), Row(0, 1, 0)])
    assert (found.rows.tolist(), found.steps.tolist(), found.return_.tolist()) == ([2, 1], [1, 0], [2.0, 0.0])
    assert (found.min_reward.tolist(), found.max_reward.tolist()) == ([2.0, np.inf], [2.0, -np.inf])


def test_segments_come_in_the_order_of_their_last_rows() -> None:
    """Of two interleaved environments the one whose rows end first is first."""
    found = cut([Row(0, 0, 1), Row(1, 0, 1), Row(1, 0, 2), Row(0, 0, 2), Row(1, 1, 0)])
    assert list(zip(found.env.tolist(), found.episode.tolist(), strict=True)) == [(1, 0), (0, 0), (1, 1)]
    assert found.of_row.tolist() == [1, 0, 0, 1, 2]


def test_an_end_before_the_last_row_is_told() -> None:
    """Rows after the end of their episode can be found."""
    found = cut([Row(0, 0, 1), Row(0, 0, 2, truncated=1), Row(0, 0, 3)])
    assert (found.truncated.tolist(), found.early_end.tolist()) == ([True], [True])


def test_a_batch_without_a_fresh_row_has_no_segments() -> None:
    """A batch that was sent again says nothing."""
    assert segments(0, columns([Row(0, 0, 1)]), np.array([False])) is None


ROWS = st.builds(
    Row,
    st.integers(-2, 3),
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(-4, 4).map(lambda half: half / 2),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([0, 0, 0, 1]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(ROWS, st.booleans()), min_size=1, max_size=24), st.booleans(), st.booleans())
def test_it_equals_a_plain_loop(drawn: list[tuple[Row, bool]], masked: bool, single: bool) -> None:
    """Any mixture of environments, episodes and duplicates is grouped as a dict of lists does."""
    rows = [row._replace(env=0) if single else row for row, _ in drawn]
    fresh = [new for _, new in drawn] if masked else None
    groups: dict[tuple[int, int], list[int]] = {}
    for index, row in enumerate(rows):
        if fresh is None or fresh[index]:
            groups.setdefault((row.env, row.episode), []).append(index)
    ordered = sorted(groups.items(), key=lambda item: item[1][-1])
    found = segments(7, columns(rows), None if fresh is None else np.array(fresh))
    if found is None:
        assert not ordered
        return
    assert list(zip(found.env.tolist(), found.episode.tolist(), strict=True)) == [key for key, _ in ordered]
    for index, (_, members) in enumerate(ordered):
        _check_segment(found, index, [rows[i] for i in members], members)
        assert [i for i, segment in enumerate(found.of_row.tolist()) if segment == index] == members


def _check_segment(found: Segments, index: int, rows: list[Row], members: list[int]) -> None:
    rewards = [row.reward for row in rows if row.step > 0]
    over = [bool(row.terminated or row.truncated) for row in rows]
    assert found.rows[index] == len(rows)
    assert found.steps[index] == len(rewards)
    assert found.return_[index] == sum(rewards)
    assert found.sum_squares[index] == sum(reward * reward for reward in rewards)
    assert found.min_reward[index] == min(rewards, default=np.inf)
    assert found.max_reward[index] == max(rewards, default=-np.inf)
    assert (found.first_seq[index], found.last_seq[index]) == (members[0] + 7, members[-1] + 7)
    assert (found.first_ts[index], found.last_ts[index]) == (members[0] * 1000, members[-1] * 1000)
    assert (found.first_step[index], found.last_step[index]) == (rows[0].step, rows[-1].step)
    assert found.contiguous[index] == all(b.step == a.step + 1 for a, b in itertools.pairwise(rows))
    assert found.terminated[index] == any(row.terminated for row in rows)
    assert found.truncated[index] == any(row.truncated for row in rows)
    assert found.early_end[index] == any(over[:-1])
