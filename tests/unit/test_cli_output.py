"""What the commands print is what the value is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from runbus.cli.output import print_json, print_json_list, print_table


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN and infinities are strings, so that every JSON reader takes the document; finite numbers stay exact."""
    print_json([{"a": math.nan, "b": [math.inf, -math.inf, 0.1], "c": 2**60, "d": None}])

    def refuse(constant: str) -> object:
        raise AssertionError(constant)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found == [{"a": "nan", "b": ["inf", "-inf", 0.1], "c": 2**60, "d": None}]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_long_list_is_one_document(capsys: pytest.CaptureFixture[str], count: int) -> None:
    """Items are printed as they come, the rest is asked for behind them, and together they are JSON."""
    seen: list[int] = []

    def items() -> Iterator[dict[str, object]]:
        for number in range(count):
            seen.append(number)
            yield {"n": number, "x": math.inf}

    print_json_list("items", items(), lambda: {"count": len(seen), "ok": True})
    expected = {"items": [{"n": n, "x": "inf"} for n in range(count)], "count": count, "ok": True}
    assert json.loads(capsys.readouterr().out) == expected


@pytest.mark.parametrize("value", ["runbus[all]", '{"x":[true]}', "[/foo]", "[bold]x[/bold]"])
def test_a_value_is_no_markup(capsys: pytest.CaptureFixture[str], value: str) -> None:
    """Square brackets of a value are printed as they are."""
    print_table(("VALUE",), [(value,)])
    assert value in capsys.readouterr().out


def test_numbers_are_grouped_and_booleans_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A table is for people."""
    print_table(("A", "B", "C"), [(1234567, True, 0.5)])
    assert capsys.readouterr().out.split("\n")[1].split() == ["1,234,567", "yes", "0.50"]
