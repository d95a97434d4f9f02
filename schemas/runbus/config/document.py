"""The settings as a table: `python -m runbus.config.document docs/configuration.md` renews it in the page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from runbus.config.catalogue import SETTINGS
from runbus.config.errors import RunBusError


def settings_table() -> str:
    """Return every setting as a Markdown table, in the order of the catalogue."""
    rows = []
    for s in SETTINGS:
        variable = f"`{s.env}`" + (f", `{s.env}_FILE`" if s.secret else "")
        rows.append((variable, f"`{s.path}`", f"`{s.default}`" if s.default else "", s.doc))
    return table(("variable", "in the file", "default", "meaning"), rows)


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
    """Renew the table in the pages that are named."""
    for page in map(Path, arguments):
        page.write_text(renewed(page.read_text(encoding="utf-8"), "settings", settings_table()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
