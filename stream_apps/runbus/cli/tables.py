"""Prints rows that come as a stream: a bounded number on a terminal, all of them in aligned columns elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

from rich.cells import cell_len

from runbus.cli.output import flush, rich_table, write
from runbus.cli.rows import Column

_BLOCK_ROWS = 1000
_BLOCK_CHARACTERS = 1 << 22
_BLOCK_S = 0.5  # rows that come slowly are shown before a block is full
_GAP = "  "
Row = list[str]


def print_rows(
    columns: list[Column], rows: Iterator[Row], most: int | None, out: Callable[[str], object] = write
) -> None:
    """Print a table and how many rows it has; holds one block of rows, however many there are.

    Args:
        columns: of the answer.
        rows: their values.
        most: rows that a terminal gets, 0 = all of them; None = it is a pipe or a file, which gets all.
        out: takes the text.
    """
    if most is not None:
        _print_on_a_terminal(columns, rows, most, out)
        return
    count, widths = 0, list[int]()
    for block in _blocks(rows):
        if not widths:
            widths = _widths(columns, block)
            out(_line([c.name for c in columns], columns, widths))
        out("".join(_line(row, columns, widths) for row in block))
        flush()
        count += len(block)
    if not widths and columns:
        out(_line([c.name for c in columns], columns, _widths(columns, [])))
    out(f"{count:,} rows\n")


def _print_on_a_terminal(columns: list[Column], rows: Iterator[Row], most: int, out: Callable[[str], object]) -> None:
    """Print a table a block, folded to the terminal's width."""
    names, numeric, count = [c.name for c in columns], [c.numeric for c in columns], 0
    for block in _blocks(islice(rows, most) if most else rows):
        out(rich_table(names, numeric, block))
        flush()
        count += len(block)
    if not count and names:
        out(rich_table(names, numeric, []))
    if most and count == most and next(rows, None) is not None:
        out(f"the first {count:,} rows; there are more: --rows 0 shows all, --format csv --output FILE keeps them\n")
    else:
        out(f"{count:,} rows\n")


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield rows in blocks that are bounded in number, in size and in time."""
    block: list[Row] = []
    size, until = 0, time.monotonic() + _BLOCK_S
    for row in rows:
        block.append(row)
        size += sum(map(len, row))
        if len(block) == _BLOCK_ROWS or size >= _BLOCK_CHARACTERS or time.monotonic() > until:
            yield block
            block, size, until = [], 0, time.monotonic() + _BLOCK_S
    if block:
        yield block


def _widths(columns: list[Column], block: list[Row]) -> list[int]:
    """Return the widths of the first block; a wider value behind it moves the rest of its line."""
    widths = [cell_len(column.name) for column in columns]
    for row in block:
        widths = [max(width, cell_len(value)) for width, value in zip(widths, row, strict=True)]
    return widths


def _line(row: Row, columns: list[Column], widths: list[int]) -> str:
    cells = []
    for value, column, width in zip(row, columns, widths, strict=True):
        space = " " * (width - (len(value) if value.isascii() else cell_len(value)))
        cells.append(space + value if column.numeric else value + space)
    return _GAP.join(cells).rstrip() + "\n"
