"""Whether a changed schema still fits what is already in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import resources

from runbus.schemas.avsc import NAMES, AvroSchema, schema


def history(name: str) -> list[AvroSchema]:
    """Return the released versions of a record's schema, oldest first (avro/history/<Name>.<n>.avsc)."""
    folder = resources.files("runbus.schemas") / "avro" / "history"
    files = [f for f in folder.iterdir() if f.name.startswith(f"{name}.") and f.name.endswith(".avsc")]
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
                where = ", ".join(sorted(_named(path, reader) for path in result.locations)) or "/"
                found.append(f"{new.name} ({way}): {'; '.join(sorted(result.messages))} at {where}")
        found += _moved_columns(new, old)
    return found


def _named(location: str, reader: AvroSchema) -> str:
    """Return `/fields/5/type` with the field's name for its number."""
    names = [f["name"] for f in reader.fields]
    return re.sub(r"^/fields/(\d+)", lambda found: f"/{names[int(found[1])]}", location)


def _moved_columns(new: AvroSchema, old: AvroSchema) -> list[str]:
    """Return what Avro's own rules do not notice.

    A column's type is only `bytes`, so its dtype must stay. A reader stops early at a field's place (decode_header),
    so the fields keep their order; Avro itself resolves them by name.
    """
    before, after = old.dtypes, new.dtypes
    old_order, new_order = ([f["name"] for f in s.fields] for s in (old, new))
    shared = [name for name in new_order if name in old_order]
    found = [
        f"{new.name}: column {path} changed its dtype from {before.get(path)} to {after.get(path)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and path.split("/")[0] in shared
    ]
    if shared != [name for name in old_order if name in new_order]:
        found.append(f"{new.name}: the fields are in another order than before; a new field goes to the end")
    return found


def check_all() -> dict[str, list[str]]:
    """Return the problems of every schema of the package, by record name."""
    return {name: problems(schema(name), history(name)) for name in NAMES}
