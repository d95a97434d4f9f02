"""Episodes and steps of envs: a row behind an end begins the next episode, whichever calls come."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.recorder import Recorder, RunBus
from runbus.recorder.env_positions import EnvPositions
from runbus.recorder.events import StepsRecorded

ENVS = 4


class Ledger:
    """The rule, for one row after the other."""

    def __init__(self) -> None:
        self.state: dict[int, tuple[int, int, bool]] = {}
        self.unannounced: list[int] = []
        self.episodes = 0

    def row(self, env: int, *, reset: bool, ends: bool) -> tuple[int, int]:
        """Return the (episode, step) of a row."""
        episode, step, over = self.state.get(env, (-1, 0, True))
        if reset or over:
            if not reset and episode >= 0:
                self.unannounced.append(env)
            self.episodes += 1
            episode, step = episode + 1, 0 if reset else 1
        else:
            step += 1
        self.state[env] = (episode, step, ends)
        return episode, step


flags = st.lists(st.booleans(), min_size=ENVS, max_size=ENVS).map(lambda found: np.array(found, np.bool_))
single = st.tuples(st.just("single"), st.integers(0, ENVS - 1), st.booleans(), st.booleans())
together = st.tuples(st.just("all"), st.tuples(st.integers(0, 2), st.integers(1, 2)), st.none() | flags, flags)
some = st.tuples(st.just("some"), st.permutations(range(ENVS)), st.none() | flags, flags)


@given(st.lists(single | together | some, max_size=30))
def test_any_mixture_of_calls_counts_as_row_by_row(calls: list[Any]) -> None:
    """Single rows, slices and subsets in any order give the positions that the same rows give one after the other."""
    told: list[int] = []
    positions, ledger = EnvPositions(told.append), Ledger()
    for kind, who, resets, ends in calls:
        if kind == "single":
            found = [positions.reset(who) if resets else positions.step(who, ends=ends)]
            expected = [ledger.row(who, reset=resets, ends=ends and not resets)]
        else:
            envs = list(range(who[0], who[0] + who[1])) if kind == "all" else who[: ENVS // 2]
            size = len(envs)
            over = ends[:size] & ~resets[:size] if resets is not None else ends[:size]
            begun = [False] * size if resets is None else resets[:size].tolist()
            expected = [ledger.row(env, reset=r, ends=e) for env, r, e in zip(envs, begun, over.tolist(), strict=True)]
            if kind == "all" and resets is None:
                columns = positions.step_all(slice(envs[0], envs[-1] + 1), over if over.any() else None)
                found = list(zip(np.frombuffer(columns[0], np.int64), np.frombuffer(columns[1], np.int32), strict=True))
            else:
                at = slice(envs[0], envs[-1] + 1) if kind == "all" else np.array(envs)
                episode, step = positions.advance(at, resets=None if resets is None else resets[:size], ends=over)
                found = list(zip(episode.tolist(), step.tolist(), strict=True))
        assert found == expected
    assert positions.episodes == ledger.episodes
    assert set(told) <= set(ledger.unannounced)
    assert bool(told) == bool(ledger.unannounced)
    assert [env for env in range(ENVS) if positions.has(env)] == sorted(ledger.state)


def rows_of(calls: Any) -> tuple[list[tuple[int, int, int]], Recorder]:
    """Return env, episode and step of every row that these calls leave, and the closed recorder."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    calls(recorder)
    recorder.close()
    columns = [e.batch().columns for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]
    found = [row for c in columns for row in zip(c.env.tolist(), c.episode.tolist(), c.step.tolist(), strict=True)]
    return found, recorder


@pytest.mark.parametrize("flag", ["terminated", "truncated"])
@pytest.mark.parametrize("vector", [False, True])
def test_a_loop_without_resets_has_an_episode_for_each_end(
    flag: str, vector: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each end is followed by an episode that has no step 0; the log says so once, the counts every time."""

    def loop(recorder: Recorder) -> None:
        for t in range(1, 7):
            over = t % 2 == 0
            ends = (over, False) if flag == "terminated" else (False, over)
            if vector:
                recorder.step_vector(np.zeros(2), np.zeros(2), [ends[0]] * 2, [ends[1]] * 2, np.zeros((2, 1)))
            else:
                recorder.step(0, 0.0, *ends, 0.5)

    found, recorder = rows_of(loop)
    assert [row[1:] for row in found if row[0] == 0] == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert recorder.stats()["episodes"] == 3 * (2 if vector else 1)
    (said,) = [r.getMessage() for r in caplog.records]
    assert "behind the end of its episode" in said
    assert "Call reset() after an end" in said
    assert recorder.stats()["complaints"] == {"began without a reset": 2}


def test_a_row_that_is_lost_still_ends_its_episode() -> None:
    """What Ctrl-C cut short counts as dropped, and the row behind it begins the next episode."""

    class Interrupting:
        def __array__(self, *_args: object, **_options: object) -> None:
            raise KeyboardInterrupt

    def loop(recorder: Recorder) -> None:
        recorder.reset(0.5)
        with pytest.raises(KeyboardInterrupt):
            recorder.step(0, 0.0, True, False, Interrupting())
        recorder.step(0, 0.0, False, False, 0.5)
        recorder.reset_vector(np.zeros((2, 1)))
        with pytest.raises(KeyboardInterrupt):
            recorder.step_vector(np.zeros(2), np.zeros(2), [True, False], [False] * 2, Interrupting())
        recorder.step_vector(np.zeros(2), np.zeros(2), [False] * 2, [False] * 2, np.zeros((2, 1)))

    found, recorder = rows_of(loop)
    assert recorder.stats()["dropped"] == 3
    assert found[0] == (0, 0, 0)
    assert found[1] == (0, 1, 1)
    assert found[-2:] == [(0, 3, 1), (1, 0, 2)]
