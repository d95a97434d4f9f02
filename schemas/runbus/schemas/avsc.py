"""The Avro schemas that ship with the package, and what identifies a schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from runbus.schemas.errors import InvalidValue

NAMES: tuple[str, ...] = ("RunEvent", "StepBatch", "EpisodeFinalized", "LiveMetrics", "Heartbeat")
_FILES = {
    "RunEvent": "run_event",
    "StepBatch": "step_batch",
    "EpisodeFinalized": "episode_finalized",
    "LiveMetrics": "live_metrics",
    "Heartbeat": "heartbeat",
}

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
            mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO"))[::-1]
            name = str(raw["name"]).rpartition(".")[2]
        except (ValueError, TypeError, KeyError, fastavro.schema.SchemaParseException) as error:
            raise InvalidValue(f"not an Avro record schema: {error}") from error
        return cls(name, text, mark, parsed)

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The record's fields as JSON objects, in order."""
        fields: list[dict[str, Any]] = json.loads(self.text)["fields"]
        return fields

    def cut_before(self, field: str) -> AvroSchema:
        """Return the schema without `field` and what follows: a reader that decodes with it stops there."""
        raw = json.loads(self.text)
        names = [f["name"] for f in raw["fields"]]
        raw["fields"] = raw["fields"][: names.index(field)]
        return AvroSchema.from_json(json.dumps(raw))


@cache
def schema(name: str) -> AvroSchema:
    """Return the package's newest schema of that record name (one of NAMES)."""
    folder = resources.files("runbus.schemas") / "avro"
    return AvroSchema.from_json((folder / f"{_FILES[name]}.avsc").read_text(encoding="utf-8"))


@cache
def by_fingerprint() -> dict[bytes, AvroSchema]:
    """Return every schema this package knows, older versions included, by fingerprint."""
    known = [schema(name) for name in NAMES]
    history = resources.files("runbus.schemas") / "avro" / "history"
    if history.is_dir():
        known += [AvroSchema.from_json(f.read_text(encoding="utf-8")) for f in history.iterdir()]
    return {s.fingerprint: s for s in known}
