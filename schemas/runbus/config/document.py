"""Makes tables of the settings: `python -m runbus.config.document docs/configuration.md` renews them in the page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from runbus.config.catalogue import PLACES, SETTINGS
from runbus.config.errors import RunBusError
from runbus.config.options import OPTIONS
from runbus.config.setting import Setting


def settings_table() -> str:
    """Return every setting that has a place in the file as a Markdown table, in the order of the catalogue."""
    rows = [(_variable(s), f"`{s.path}`", _code(s.default), s.kind.allowed, s.doc) for s in SETTINGS]
    return table(("variable", "in the file", "default", "allowed", "meaning"), rows)


def options_table() -> str:
    """Return the options of single commands as a Markdown table."""
    rows = [(_variable(s), _code(s.option), _code(s.default), s.kind.allowed, s.doc) for s in OPTIONS]
    return table(("variable", "option", "default", "allowed", "meaning"), rows)


def places_table() -> str:
    """Return what only the environment can set as a Markdown table."""
    return table(("variable", "meaning"), [(_variable(s), s.doc) for s in PLACES])


TABLES = {"settings": settings_table, "options": options_table, "places": places_table}


def _variable(setting: Setting[object]) -> str:
    return f"`{setting.env}`" + (f", `{setting.env}_FILE`" if setting.secret else "")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, with a line break at its end."""
    lines = [head, ["---"] * len(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def renewed(page: str, name: str, text: str) -> str:
    """Return the page with `text` between its lines `<!-- <name> -->` and `<!-- end -->`.

    Raises:
        RunBusError: the page has no such lines.
    """
    before, start, rest = page.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    if not start or not end:
        raise RunBusError(f"the page has no place for {name}: a line <!-- {name} -->, and <!-- end --> below it")
    return f"{before}{start}{text}{end}{after}"


def main(arguments: Sequence[str]) -> None:
    """Renew the tables in the pages that are named."""
    for page in map(Path, arguments):
        text = page.read_text(encoding="utf-8")
        for name, make in TABLES.items():
            text = renewed(text, name, make())
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
