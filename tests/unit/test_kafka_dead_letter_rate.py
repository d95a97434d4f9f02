"""How many dead letters are too many: a pure value, the same however the log is cut into ranges."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterLimits, DeadLetterRate

LIMITS = DeadLetterLimits(run=3, share=0.25, window=20)


def judged(bad: set[int], count: int, limits: DeadLetterLimits = LIMITS, cuts: tuple[int, ...] = ()) -> list[str]:
    """Return the limit that each of some ranges breaks."""
    rate, verdicts = NONE_YET, []
    bounds = [0, *cuts, count]
    for lo, hi in pairwise(bounds):
        rate, broken = rate.after(range(lo, hi), bad & set(range(lo, hi)), limits)
        verdicts.append(broken)
    return verdicts


def test_a_run_of_dead_letters_is_counted_across_ranges() -> None:
    """Three in a row are fine, four are not, wherever the log was cut; a good value in between starts anew."""
    assert judged({0, 1, 2}, 3) == [""]
    assert judged({0, 1, 2, 3}, 4) == ["more than 3 values in a row cannot be stored"]
    assert judged({0, 1, 2, 3}, 4, cuts=(1, 3)) == ["", "", "more than 3 values in a row cannot be stored"]
    assert judged({0, 1, 2, 4, 5, 6}, 7) == [""]


def test_the_share_is_judged_once_there_are_enough_records() -> None:
    """Every third value is too many, but only among `window` records or more."""
    every_third = set(range(0, 60, 3))
    assert judged(every_third, 19) == [""]
    assert judged(every_third, 30) == ["more than 25% of the last 22 values cannot be stored"]
    assert judged(set(range(0, 60, 5)), 60) == [""]


def test_old_records_fade() -> None:
    """A bad hour long ago says nothing about now, and a good one does not excuse a bad one for ever."""
    rate, _ = DeadLetterRate(0, 10, 40).after(range(100_000), set(), LIMITS)
    assert (rate.run, rate.letters, rate.records) == (0, 0.002, 20.0)
    rate, _ = NONE_YET.after(range(100_000), set(), LIMITS)
    _, broken = rate.after(range(30), set(range(0, 30, 2)), LIMITS)
    assert "values cannot be stored" in broken


def test_limits_can_be_switched_off() -> None:
    """Run 0 and share 1 let everything through."""
    assert judged(set(range(5000)), 5000, DeadLetterLimits(run=0, share=1.0)) == [""]


@settings(deadline=None)
@given(st.sets(st.integers(0, 300)), st.lists(st.integers(1, 299), max_size=5))
def test_where_the_log_is_cut_does_not_matter_for_runs(bad: set[int], cuts: list[int]) -> None:
    """The verdict on runs and the state at the end are those of one range, as the commits carry it."""
    limits = DeadLetterLimits(run=3, share=1.0, window=10_000)
    at = tuple(sorted(set(cuts)))
    assert any(judged(bad, 300, limits, at)) == any(judged(bad, 300, limits))
    whole, _ = NONE_YET.after(range(300), bad, limits)
    cut = NONE_YET
    for lo, hi in zip((0, *at), (*at, 300), strict=True):
        cut, _ = cut.after(range(lo, hi), bad & set(range(lo, hi)), limits)
        carried = Intent.decode(Intent("id", rate=cut).encode())
        assert carried is not None
        cut = carried.rate
    assert cut == whole
