"""A deadline is a moment of the caller's clock."""

from __future__ import annotations

import pytest

from runbus.config.deadline import Deadline


@pytest.mark.parametrize(
    ("now", "remaining", "passed"), [(10.0, 5.0, False), (14.5, 0.5, False), (15.0, 0.0, True), (99.0, 0.0, True)]
)
def test_what_is_left_falls_to_nothing(now: float, remaining: float, passed: bool) -> None:
    """It is never negative, and passed exactly if nothing is left."""
    deadline = Deadline.after(5.0, now=10.0)
    assert (deadline.remaining(now), deadline.passed(now)) == (remaining, passed)


def test_it_is_a_value() -> None:
    """Several waits share one: none of them can move it."""
    deadline = Deadline(1.0)
    assert deadline == Deadline.after(0.5, now=0.5)
    with pytest.raises(AttributeError):
        deadline.at = 2.0  # type: ignore[misc]
    assert deadline.at == 1.0
