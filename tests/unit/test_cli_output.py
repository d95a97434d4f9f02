"""What the commands print is what the value is."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator

import pytest

from runbus.cli.output import Count, complain, print_json, print_json_list, print_table, say


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


def test_values_are_exact_and_counts_are_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown can be pasted; only a number of things is written for the eye."""
    print_table(("A", "B", "C", "D", "E"), [(1234567, True, 0.001, 1.5e300, Count(1234567))])
    assert capsys.readouterr().out.split("\n")[1].split() == ["1234567", "yes", "0.001", "1.5e+300", "1,234,567"]


@pytest.mark.parametrize("hostile", ["a\x1b]0;t\x07", "two\nlines", "\u202eevil", "back\rover", "\x9b31m"])
def test_nothing_printed_for_people_acts_on_a_terminal(capsys: pytest.CaptureFixture[str], hostile: str) -> None:
    """Tables, their heads, lines and complaints are escaped; JSON is exact."""
    print_table((hostile,), [(hostile,)])
    say(hostile)
    complain(hostile)
    found = capsys.readouterr()
    assert not [c for c in found.out + found.err if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")]
    assert (found.out.count("\n"), found.err.count("\n")) == (3, 1)
    print_json({"x": hostile})
    assert json.loads(capsys.readouterr().out) == {"x": hostile}


def test_a_message_quotes_lines_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The end of a log stays readable; a line end of anything else is escaped, so that it cannot forge a message."""
    complain("the sink failed. Its log ends with:\n  first \x1b[31m\n  second\nrunbus: all is well")
    shown = capsys.readouterr().err
    assert shown == "runbus: the sink failed. Its log ends with:\n  first \\x1b[31m\n  second\\nrunbus: all is well\n"
