"""How commands print: a table for people, JSON for scripts."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runbus.cli.option import option
from runbus.config.options import JSON

_PIPED_WIDTH = 200  # a file or a pipe has no width of its own

Json = Annotated[bool, option(JSON)]


def print_json(value: object) -> None:
    """Print one JSON document on standard output; JSON has no NaN and no infinities, so they are strings."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, default=str, allow_nan=False) + "\n")


def print_json_list(name: str, items: Iterable[object], rest: Callable[[], Mapping[str, object]]) -> None:
    """Print one JSON document whose first member is a list that may be too long to hold, an item a line as it comes.

    Args:
        name: of the list.
        items: its items.
        rest: returns the other members; called when the list has ended.
    """
    sys.stdout.write(f"{{{json.dumps(name)}: [")
    for index, item in enumerate(items):
        sys.stdout.write(f"{',' if index else ''}\n  {_json(item)}")
    sys.stdout.write("\n]")
    for key, value in rest().items():
        sys.stdout.write(f",\n{json.dumps(key)}: {_json(value)}")
    sys.stdout.write("}\n")


def _json(value: object) -> str:
    return json.dumps(_plain(value), default=str, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table on standard output; integers are grouped and aligned to the right."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], (int, float)) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))  # Text: a value is no markup
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(width=width).print(table)


def say(text: str) -> None:
    """Print one line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"runbus: {text}\n")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
