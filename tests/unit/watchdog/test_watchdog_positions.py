"""The rules of one consumer in one partition, for sequences that were made up and for any."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.watchdog.findings import State
from runbus.watchdog.positions import PositionWindow, Rules, Standing

RULES = Rules()
EVERY = 0.5


def window(*looks: tuple[int, int], every: float = EVERY) -> PositionWindow:
    """Return the window after looks at (position, end), one every half a second."""
    made = PositionWindow()
    for index, (position, end) in enumerate(looks):
        made.add(Standing(index * every, position, end))
    return made


def test_nothing_seen_or_nothing_left_is_ok() -> None:
    """However long nobody moves."""
    assert PositionWindow().state(lives=False) is State.OK
    assert window(*[(7, 7)] * 100).state(lives=False) is State.OK


@pytest.mark.parametrize(("lives", "state"), [(True, State.STALL), (False, State.STOP)])
def test_who_has_something_to_read_and_does_not_move(lives: bool, state: State) -> None:
    """It stalls if it lives, and has stopped if not; and not before it was still long enough."""
    assert window(*[(7, 9)] * 4).state(lives=lives) is State.OK
    assert window(*[(7, 9)] * 5).state(lives=lives) is state
    assert window(*[(7, 9)] * 5, (8, 9)).state(lives=lives) is State.OK


def test_time_without_lag_does_not_count() -> None:
    """A record that came just now has waited since it came."""
    assert window(*[(7, 7)] * 20, (7, 8), (7, 8), (7, 8)).state(lives=True) is State.OK
    assert window(*[(7, 8)] * 3, (7, 7), *[(7, 8)] * 3).state(lives=True) is State.OK


def test_time_that_nobody_watched_does_not_count() -> None:
    """A watchdog that was stopped itself has seen nobody stand still."""
    looked = PositionWindow()
    looked.add(Standing(0.0, 7, 9))
    looked.add(Standing(60.0, 7, 9))
    assert looked.still_seconds == 0.0
    looked.add(Standing(61.0, 7, 9))
    assert looked.still_seconds == 1.0
    looked.forget()
    looked.add(Standing(61.5, 7, 9))
    assert looked.still_seconds == 0.0


def test_who_pauses_long_between_two_moves_has_more_time() -> None:
    """A sink whose inserts take 3 s does not stall between them; one that pauses for ever does."""
    slow = [look for position in range(6) for look in [(position, 99)] * 6]
    assert window(*slow).state(lives=True) is not State.STALL
    assert window(*slow, *[(5, 99)] * 12).state(lives=True) is State.STALL


def test_a_step_back_is_a_rewind_until_it_is_made_good() -> None:
    """Also where nothing is left, and also after a gap in the looking."""
    looked = window((7, 9), (3, 9))
    assert looked.state(lives=True) is State.REWIND
    looked.forget()
    looked.add(Standing(9.0, 6, 6))
    assert looked.state(lives=False) is State.REWIND
    looked.add(Standing(9.5, 7, 9))
    assert looked.state(lives=True) is State.OK


def test_who_moves_and_has_more_left_each_time_falls_behind() -> None:
    """It is enough that one move gained ground, or that it once had everything."""
    behind = [(n, 10 + n * 3) for n in range(8)]
    assert window(*behind).state(lives=True) is State.WARN
    assert window(*behind[:6], (19, 28), *[(20 + n, 31 + n * 3) for n in range(2)]).state(lives=True) is State.OK
    assert window(*behind, (31, 31)).state(lives=True) is State.OK
    assert window(*behind, (31, 31), (32, 40), (33, 50)).state(lives=True) is State.OK
    assert window(*[(n, n + 5) for n in range(30)]).state(lives=True) is State.OK  # it keeps the distance


looks = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from((0.0, 0.5, 1.0, 5.0))), max_size=60)


@given(looks, st.booleans())
def test_any_sequence(sequence: Iterable[tuple[int, int, float]], lives: bool) -> None:
    """What each state says is so, whatever comes: no state without its reason."""
    looked, samples, at = PositionWindow(), list[Standing](), 0.0
    for position, end, pause in sequence:
        at += pause
        samples.append(Standing(at, position, end))
        looked.add(samples[-1])
        state, last = looked.state(lives=lives), samples[-1]
        assert (state is State.REWIND) == (position < max(sample.position for sample in samples))
        if state in (State.WARN, State.STALL, State.STOP):
            assert last.lag > 0
        if state in (State.STALL, State.STOP):
            assert (state is State.STALL) == lives
            since = [sample for sample in samples if sample.at >= at - RULES.still]
            assert {sample.position for sample in since} == {position}
            assert all(sample.lag for sample in since)
        if state is State.OK and last.lag:
            assert looked.still_seconds < RULES.still_most


@given(st.integers(0, 9), st.integers(1, 9), st.integers(12, 40), st.booleans())
def test_who_never_moves_is_found_in_bounded_time(position: int, lag: int, extra: int, lives: bool) -> None:
    """Whatever its pauses were before."""
    before = [(n, 99) for n in range(position) for _ in range(11)]
    looked = window(*before, *[(position, 99 + lag)] * (int(RULES.still_most / EVERY) + extra))
    assert looked.state(lives=lives) in (State.STALL, State.STOP)
