"""Prints: a table for people, JSON for scripts. Text for people goes through `printable`; JSON is exact."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runbus.cli.option import option
from runbus.config.options import JSON
from runbus.config.terminal import printable

_PIPED_WIDTH = 200  # a file or a pipe has no width of its own

Json = Annotated[bool, option(JSON)]


class Count(int):
    """A number of things, shown in groups of three digits; an id, a port or an offset is no Count."""

    __slots__ = ()


def write(text: str) -> None:
    """Write to standard output; if its reader has gone (`| head`), the command ends, quietly and with 0."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        end_without_reader()


def write_bytes(content: bytes) -> None:
    """Write bytes to standard output, likewise, at once."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        end_without_reader()


def flush() -> None:
    """Write out what waits in memory, likewise."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        end_without_reader()


def end_without_reader() -> NoReturn:
    """End the command. What still waits in memory goes nowhere, else Python complains about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    sys.exit(0)


def print_json(value: object) -> None:
    """Print one JSON document on standard output; JSON has no NaN and no infinities, so they are strings."""
    write(json.dumps(plain(value), indent=2, default=str, allow_nan=False) + "\n")


def print_json_list(name: str, items: Iterable[object], rest: Callable[[], Mapping[str, object]]) -> None:
    """Print one JSON document whose first member is a list that may be too long to hold, an item a line as it comes.

    Args:
        name: of the list.
        items: its items.
        rest: returns the other members; called when the list has ended.
    """
    write(f"{{{json.dumps(name)}: [")
    for index, item in enumerate(items):
        write(f"{',' if index else ''}\n  {_json(item)}")
    write("\n]")
    for key, value in rest().items():
        write(f",\n{json.dumps(key)}: {_json(value)}")
    write("}\n")


def _json(value: object) -> str:
    return json.dumps(plain(value), default=str, allow_nan=False)


def plain(value: object) -> object:
    """Return a value as JSON has it: NaN and the infinities are text, keys too."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on standard output; numbers are aligned to the right, and only a Count is grouped."""
    rows = list(rows)
    numeric = [any(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]
    write(rich_table(columns, numeric, ([_cell(value) for value in row] for row in rows)))


def rich_table(columns: Sequence[str], numeric: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of printable text; what is wider than the terminal is folded."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(Text(printable(name)), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: a value is no markup
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def say(text: str) -> None:
    """Print one line on standard output."""
    write(printable(text) + "\n")
    flush()


def complain(text: str) -> None:
    """Print a message on standard error: one line, and below it what it quotes, each line indented by two spaces.

    Any other line end is escaped, so what is quoted cannot look like a message.
    """
    sys.stderr.write("\n  ".join(map(printable, f"runbus: {text}".split("\n  "))) + "\n")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, Count) else printable(str(value))
