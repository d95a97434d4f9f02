"""Loads the Avro schemas of the package, and identifies a schema by its fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fastavro.schema import SchemaParseException, fingerprint, parse_schema, to_parsing_canonical_form

from runbus.config.errors import InvalidValue

#: records that are on the wire: their schemas only grow (evolution.py)
NAMES: tuple[str, ...] = (
    "RunEvent",
    "StepBatch",
    "MetricBatch",
    "EpisodeFinalized",
    "LiveMetrics",
    "Heartbeat",
    "ControlCommand",
    "Annotation",
)
#: records that never leave a process, so they may change: the sink makes them of values that are not Avro
INTERNAL: tuple[str, ...] = ("DeadLetter",)
_FILES = {
    "RunEvent": "run_event",
    "StepBatch": "step_batch",
    "MetricBatch": "metric_batch",
    "EpisodeFinalized": "episode_finalized",
    "LiveMetrics": "live_metrics",
    "Heartbeat": "heartbeat",
    "ControlCommand": "control_command",
    "Annotation": "annotation",
    "DeadLetter": "dead_letter",
}

_PARSE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RecursionError, SchemaParseException)
ParsedSchema = Any  # fastavro's own type: a dict, list or str


@dataclass(frozen=True, eq=False)
class AvroSchema:
    """One Avro record schema.

    Attributes:
        name: the record's name without namespace.
        text: its JSON, as a registry stores it.
        fingerprint: CRC-64-AVRO of the parsing canonical form, 8 bytes little-endian (Avro 1.11, "Single-object
            encoding").
        parsed: what fastavro reads and writes with.
    """

    name: str
    text: str
    fingerprint: bytes
    parsed: ParsedSchema

    @classmethod
    def from_json(cls, text: str) -> AvroSchema:
        """Parse a schema's JSON. Raises InvalidValue if it is not an Avro record."""
        try:
            raw = json.loads(text)
            parsed = parse_schema(json.loads(text), _force=True)
            # fastavro gives the hex digits of the little-endian bytes already, as Avro's Java does
            mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO"))
            name, kind = str(raw["name"]).rpartition(".")[2], raw["type"]
        except _PARSE_ERRORS as error:
            raise InvalidValue(f"not an Avro record schema: {error}") from error
        if kind != "record" or not isinstance(raw.get("fields"), list):
            raise InvalidValue(f"not an Avro record schema: {name} is of type {kind}, or has no fields")
        return cls(name, text, mark, parsed)

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The record's fields as JSON objects, in order."""
        fields: list[dict[str, Any]] = json.loads(self.text)["fields"]
        return fields

    @property
    def dtypes(self) -> dict[str, str]:
        """The `dtype` attribute of every column, by path (`reward`, `extras/rows`)."""
        return dict(_dtypes(json.loads(self.text), ""))

    def cut_before(self, field: str) -> AvroSchema:
        """Return the schema without `field` and what follows: a reader that decodes with it stops there.

        Raises:
            InvalidValue: it has no such field.
        """
        raw = json.loads(self.text)
        names = [f["name"] for f in raw["fields"]]
        if field not in names:
            raise InvalidValue(f"this schema of {self.name} has no field {field}")
        raw["fields"] = raw["fields"][: names.index(field)]
        return AvroSchema.from_json(json.dumps(raw))


def _dtypes(node: object, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(node, dict):
        return
    if "dtype" in node:
        yield path, str(node["dtype"])
    for inner in (node.get("type"), node.get("items"), node.get("values")):
        yield from _dtypes(inner, path)
    for f in node.get("fields", []):
        yield from _dtypes(f.get("type"), f"{path}/{f['name']}".lstrip("/"))


@cache
def schema(name: str) -> AvroSchema:
    """Return the package's newest schema of that record name (one of NAMES or INTERNAL)."""
    folder = resources.files("runbus.schemas") / "avro"
    return AvroSchema.from_json((folder / f"{_FILES[name]}.avsc").read_text(encoding="utf-8"))


@cache
def by_fingerprint() -> dict[bytes, AvroSchema]:
    """Return every schema this package knows, older versions included, by fingerprint."""
    history = resources.files("runbus.schemas") / "avro" / "history"
    released = [f for f in history.iterdir() if f.name.endswith(".avsc")]
    known = [AvroSchema.from_json(f.read_text(encoding="utf-8")) for f in released]
    return {s.fingerprint: s for s in [*known, *(schema(name) for name in (*NAMES, *INTERNAL))]}
