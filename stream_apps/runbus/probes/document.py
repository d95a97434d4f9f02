"""Renews the table of metrics in a page: `python -m runbus.probes.document docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from runbus.config.document import renewed, table
from runbus.probes.catalogue import METRICS


def metrics_table() -> str:
    """Return every metric as a Markdown table, in the order of the catalogue."""
    rows = [
        (f"`{m.name}`", m.kind, ", ".join(f"`{name}`" for name in m.labels), m.unit, ", ".join(m.of), m.doc)
        for m in METRICS
    ]
    return table(("metric", "kind", "labels", "unit", "shown by", "meaning"), rows)


def main(arguments: Sequence[str]) -> None:
    """Renew the table in the pages that are named."""
    for page in map(Path, arguments):
        page.write_text(renewed(page.read_text(encoding="utf-8"), "metrics", metrics_table()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
