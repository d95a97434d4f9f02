"""When an episode ends, why, and what is shown of those that run."""

from __future__ import annotations

import pytest

from runbus.live_metrics import running_episodes
from runbus.live_metrics.episode_rows import EpisodeRows
from runbus.live_metrics.running_episodes import REASONS, RunningEpisodes


def _rows(episode: int, steps: int = 2, return_: float = 2.0, *, env: int = 0, end: str = "") -> EpisodeRows:
    return EpisodeRows(
        env, episode, steps, return_, 10, 20, end in ("terminated", "both"), end in ("truncated", "both")
    )


def _reasons(found: RunningEpisodes) -> dict[str, int]:
    return {name: count for name, count in zip(REASONS, found.reasons, strict=True) if count}


@pytest.mark.parametrize(
    ("end", "reason"), [("terminated", "terminated"), ("truncated", "truncated"), ("both", "terminated")]
)
def test_a_row_ends_the_episode_and_terminated_wins(end: str, reason: str) -> None:
    """The flags of a row end the episode; where both are set it is terminated."""
    found = RunningEpisodes()
    ended, _ = found.take([_rows(0), _rows(0, end=end)])
    assert [(e.return_, e.length, e.ts) for e in ended] == [(4.0, 4, 20)]
    assert _reasons(found) == {reason: 1}
    assert (found.last_return, found.last_length, found.return_, found.length) == (4.0, 4, 0.0, 0)


def test_a_later_episode_abandons_the_open_one_of_its_env_only() -> None:
    """A reset without an end abandons the episode before it, at the time of the reset; other envs go on."""
    found = RunningEpisodes()
    ended, _ = found.take([_rows(0, env=0), _rows(0, env=1), _rows(3, steps=0, return_=0.0, env=0)])
    assert [(e.return_, e.ts) for e in ended] == [(2.0, 10)]
    assert _reasons(found) == {"abandoned": 1}
    assert found.open_episodes == 2


def test_a_reset_alone_can_be_abandoned_but_not_interrupted() -> None:
    """The first of two resets in a row is an episode of length 0; a reset before the end of the run is none."""
    found = RunningEpisodes()
    found.take([_rows(0, 0, 0.0), _rows(1, 0, 0.0)])
    assert found.interrupt(99) == []
    assert _reasons(found) == {"abandoned": 1}


def test_the_end_of_the_stream_interrupts_what_runs() -> None:
    """Each env's open episode is interrupted; ended ones stay as they are."""
    found = RunningEpisodes()
    found.take([_rows(0, env=0), _rows(0, env=1), _rows(0, env=2, end="truncated")])
    assert [e.ts for e in found.interrupt(99)] == [99, 99]
    assert _reasons(found) == {"truncated": 1, "interrupted": 2}


def test_rows_for_an_ended_or_older_episode_change_nothing() -> None:
    """Live totals are not revised: late rows are steps only."""
    found = RunningEpisodes()
    found.take([_rows(1, end="terminated"), _rows(1), _rows(0, end="terminated")])
    assert _reasons(found) == {"terminated": 1}
    assert (found.last_return, found.return_) == (2.0, 0.0)


def test_running_is_that_of_the_env_whose_row_came_last() -> None:
    """The running return and length follow the last row, also through state."""
    found = RunningEpisodes()
    found.take([_rows(0, 5, 5.0, env=4), _rows(0, 7, 7.0, env=1)])
    assert (found.return_, found.length) == (7.0, 7)
    found.take([_rows(0, 1, 0.5, env=4)])
    again = RunningEpisodes()
    again.restore(found.encode())
    assert (again.return_, again.length) == (found.return_, found.length) == (5.5, 6)
    assert again.encode() == found.encode()


def test_environments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the env whose last row is the oldest is forgotten, and that is counted."""
    monkeypatch.setattr(running_episodes, "MAX_ENVS", 2)
    found = RunningEpisodes()
    assert found.take([_rows(0, env=0), _rows(0, env=1), _rows(0, env=0)])[1] == 0
    assert found.take([_rows(0, env=2)])[1] == 1
    found.take([_rows(1, env=1)])
    assert _reasons(found) == {}
