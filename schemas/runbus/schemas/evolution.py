"""Whether a changed schema still fits what is already in the log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources

from runbus.schemas.avsc import NAMES, AvroSchema, schema


def history(name: str) -> list[AvroSchema]:
    """Return the released versions of a record's schema, oldest first (avro/history/<Name>.<n>.avsc)."""
    folder = resources.files("runbus.schemas") / "avro" / "history"
    files = [f for f in folder.iterdir() if f.name.startswith(f"{name}.")] if folder.is_dir() else []
    ordered = sorted(files, key=lambda f: int(f.name.split(".")[1]))
    return [AvroSchema.from_json(f.read_text(encoding="utf-8")) for f in ordered]


def problems(new: AvroSchema, released: Iterable[AvroSchema]) -> list[str]:
    """Return why `new` cannot live beside the released versions; an empty list means it can (FULL_TRANSITIVE).

    Both ways: new readers read old values, old readers read new values. Needs the extra `registry`.
    """
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
    from avro.schema import make_avsc_object

    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    found = []
    for old in released:
        for way, reader, writer in (("new code, old values", new, old), ("old code, new values", old, new)):
            result = checker.get_compatibility(
                make_avsc_object(json.loads(reader.text)), make_avsc_object(json.loads(writer.text))
            )
            if result.compatibility is not SchemaCompatibilityType.compatible:
                where = ", ".join(sorted(result.locations)) or "/"
                found.append(f"{new.name} ({way}): {'; '.join(sorted(result.messages))} at {where}")
        found += _moved_columns(new, old)
    return found


def _moved_columns(new: AvroSchema, old: AvroSchema) -> list[str]:
    """A column keeps its dtype: the schema's type is only `bytes`, so Avro's own rules would not notice."""
    before = {f["name"]: f["type"].get("dtype") for f in old.fields if isinstance(f["type"], dict)}
    after = {f["name"]: f["type"].get("dtype") for f in new.fields if isinstance(f["type"], dict)}
    return [
        f"{new.name}: column {name} changed its dtype from {dtype} to {after[name]}"
        for name, dtype in before.items()
        if name in after and after[name] != dtype
    ]


def check_all() -> dict[str, list[str]]:
    """Return the problems of every schema of the package, by record name."""
    return {name: problems(schema(name), history(name)) for name in NAMES}
