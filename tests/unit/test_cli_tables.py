"""Rows become a table as they come: aligned by the first block, and bounded on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from runbus.cli.rows import Column
from runbus.cli.tables import print_rows

COLUMNS = [Column("name", False), Column("n", True)]


class _Enough(Exception):
    """The test has seen what it wanted."""


def _numbers() -> Iterator[list[str]]:
    return ([f"row-{n}", str(n)] for n in count())


def test_numbers_are_right_and_text_is_left() -> None:
    """Wide characters take two cells; the last line says how many rows there are."""
    out: list[str] = []
    print_rows(COLUMNS, iter([["a", "1"], ["日本", "1000"]]), None, out.append)
    assert "".join(out) == "name     n\na        1\n日本  1000\n2 rows\n"


def test_an_endless_answer_is_printed_as_it_comes() -> None:
    """The first block is out before the second is read, whole, and nothing is held of it."""
    printed: list[str] = []

    def out(text: str) -> None:
        printed.append(text)
        if text.count("\n") > 500:
            raise _Enough

    try:
        print_rows(COLUMNS, _numbers(), None, out)
    except _Enough:
        assert printed[1].startswith("row-0")


def test_a_wider_value_behind_the_first_block_is_whole() -> None:
    """Widths come from the first block; a value is never cut."""
    rows = [["a", "1"]] * 1000 + [["x" * 50, "123456789"]]
    out: list[str] = []
    print_rows(COLUMNS, iter(rows), None, out.append)
    assert "".join(out).splitlines()[1001] == f"{'x' * 50}  123456789"


def test_no_rows_have_their_names() -> None:
    """An empty table shows its columns."""
    for limit in (None, 5):
        out: list[str] = []
        print_rows(COLUMNS, iter([]), limit, out.append)
        assert [line.split() for line in "".join(out).splitlines()] == [["name", "n"], ["0", "rows"]]


def test_a_terminal_gets_some_rows_and_is_told() -> None:
    """Of an endless answer the first rows, and how to get the others; all of a short one."""
    out: list[str] = []
    print_rows(COLUMNS, _numbers(), 3, out.append)
    *rows, last = "".join(out).splitlines()
    assert [line.split() for line in rows] == [["name", "n"], ["row-0", "0"], ["row-1", "1"], ["row-2", "2"]]
    assert last.startswith("the first 3 rows; there are more: --rows 0 shows all")
    out.clear()
    print_rows(COLUMNS, iter([["a", "1"]] * 3), 3, out.append)
    assert out[-1] == "3 rows\n"
    out.clear()
    print_rows(COLUMNS, iter([["a", "1"]] * 2500), 0, out.append)
    assert out[-1] == "2,500 rows\n"
