"""How commands print: a table for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 200  # a file or a pipe has no width of its own

Json = Annotated[bool, typer.Option("--json", envvar="RUNBUS_JSON", help="Print JSON instead of a table.")]


def print_json(value: object) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table on standard output; integers are grouped and aligned to the right."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], (int, float)) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(width=width).print(table)


def say(text: str) -> None:
    """Print one line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
