"""Makes the tables of topics.md, schemas.md and security.md: `python -m runbus.schemas.document docs` renews them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runbus.config.document import renewed, table
from runbus.kafka.principals import PRINCIPALS, ResourceNames
from runbus.kafka.topics import DAY_MS, MINUTE_MS, TOPICS
from runbus.schemas.avsc import NAMES, schema


def topics_table() -> str:
    """Return the catalogue of topics as a Markdown table."""
    rows = [
        (
            f"`{t.name}`",
            f"`{t.key}`",
            t.schema or ("state" if t.cleanup == "compact" else "original bytes"),
            "as asked for" if t.partitioned else "1",
            t.cleanup,
            _duration(t.retention_ms),
            ", ".join(f"`{key}={value}`" for key, value in t.extra.items()),
        )
        for t in TOPICS
    ]
    return table(("topic", "key", "value", "partitions", "cleanup", "kept", "also"), rows)


def _duration(ms: int) -> str:
    if ms < 0:
        return "for ever"
    return f"{ms // DAY_MS} d" if ms % DAY_MS == 0 else f"{ms // MINUTE_MS} min"


def fingerprints_table() -> str:
    """Return the fingerprints of the newest schemas as a Markdown table."""
    rows = [(name, f"`{schema(name).fingerprint.hex()}`") for name in NAMES]
    return table(("record", "fingerprint, as on the wire"), rows)


def columns_table(record: str = "StepBatch") -> str:
    """Return the fields of a batch as a Markdown table."""
    rows = [(f"`{f['name']}`", _type(f["type"]), f.get("doc", "")) for f in schema(record).fields]
    return table(("field", "type", "meaning"), rows)


def _type(node: str | Mapping[str, Any]) -> str:
    if isinstance(node, str):
        return node
    if node["type"] == "array":
        return f"array of {_type(node['items'])}"
    if node["type"] == "record":
        return "{" + ", ".join(f"{f['name']}: {_type(f['type'])}" for f in node["fields"]) + "}"
    return f"{node['type']} of `{node['dtype']}`"


def rights_table() -> str:
    """Return the catalogue of principals and their rights as a Markdown table, names with the default prefix."""
    names = ResourceNames("runbus.")
    rows = [
        (f"`{p.role}`" if first else "", f"`{right.said(names)}`", right.why)
        for p in PRINCIPALS
        for first, right in zip([True] + [False] * len(p.rights), p.rights, strict=False)
    ]
    return table(("role", "right", "for"), rows)


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "security.md": {"rights": rights_table},
    "topics.md": {"topics": topics_table},
    "schemas.md": {
        "fingerprints": fingerprints_table,
        "columns": columns_table,
        "metric columns": partial(columns_table, "MetricBatch"),
    },
}


def main(arguments: Sequence[str]) -> None:
    """Renew the tables of the pages in a folder."""
    for name, tables in PAGES.items():
        page = Path(arguments[0], name)
        text = page.read_text(encoding="utf-8")
        for block, make in tables.items():
            text = renewed(text, block, make())
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
