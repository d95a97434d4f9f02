"""The filter of a list of runs on the server: it reads what the page's reads, and says no to the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.filter import read

CASES: dict[str, Any] = json.loads((Path(__file__).parents[2] / "page" / "filter_cases.json").read_text())


@pytest.mark.parametrize("case", CASES["parsed"], ids=lambda case: case["q"] or "empty")
def test_clauses_are_those_of_the_page(case: dict[str, Any]) -> None:
    """Each clause has the page's field, operator, value and sign."""
    found = [[c.field, c.op, c.value, c.negated] for c in read(case["q"]).clauses]
    assert found == case["clauses"]


@pytest.mark.parametrize("case", CASES["wrong"], ids=lambda case: case["q"])
def test_what_is_wrong_is_named(case: dict[str, Any]) -> None:
    """The clause that cannot be read stands in the error."""
    with pytest.raises(ApiError) as caught:
        read(case["q"])
    assert caught.value.status == 400
    assert repr(case["clause"]) in caught.value.error


@given(st.text(max_size=80))
def test_no_text_is_a_fault(text: str) -> None:
    """Whatever is written is a filter or refused, and none of it gets into the statement but as a parameter."""
    try:
        found = read(text)
    except ApiError:
        return
    for clause in found.clauses:
        unusual = {word for word in (clause.value, clause.field) if len(word) > 3 and not word.isascii()}
        assert not any(word in found.sql for word in unusual)
    assert all(f"{{{name}:" in found.sql for name in found.parameters)
