"""docs/recorded-values.md: each row of its tables is what the recorder does."""

import pytest
from gymnasium import spaces

from tests.support.recorded_values import PAGE, Documented, documented, recorded, written


@pytest.mark.parametrize("row", documented(), ids=lambda row: f"{row.space} {row.value}"[:60])
def test_a_value_has_the_layout_of_the_page(row: Documented) -> None:
    """The value, read with its space, is recorded in the layout that the table says."""
    assert written(recorded(row, "run-1").header.observation) == row.layout


def test_every_space_is_on_the_page() -> None:
    """A space that Gymnasium has is in the table."""
    of_spaces = {row.space.split("(")[0] for row in documented() if row.space}
    known = {name for name in spaces.__all__ if isinstance(getattr(spaces, name), type)} - {"Space", "GraphInstance"}
    assert of_spaces == known


def test_every_mark_is_on_the_page() -> None:
    """The extras that a row without a part has are named."""
    text = PAGE.read_text(encoding="utf-8")
    parts = ("observation", "action", "reward", "terminated", "truncated", "info", "tick", "seed", "log")
    assert all(f"`left_out.{part}`" in text for part in parts)
