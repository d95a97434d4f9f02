"""Checks that a changed schema still fits the values in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any

from runbus.schemas.avsc import NAMES, AvroSchema, schema

_OF_A_TYPE = ("type", "name", "items", "values", "fields", "symbols", "size", "dtype", "logicalType")
#: names of the fields that the sink adds to a record
_OF_THE_SINK = re.compile(r"kafka_.*|record_end")


def history(name: str) -> list[AvroSchema]:
    """Return the released versions of a record's schema, oldest first (avro/history/<Name>.<n>.avsc)."""
    folder = resources.files("runbus.schemas") / "avro" / "history"
    files = [f for f in folder.iterdir() if f.name.startswith(f"{name}.") and f.name.endswith(".avsc")]
    ordered = sorted(files, key=lambda f: int(f.name.split(".")[1]))
    return [AvroSchema.from_json(f.read_text(encoding="utf-8")) for f in ordered]


@cache
def misfit(writer: AvroSchema) -> str:
    """Return why this version cannot read values that `writer` wrote; "" = it can, or has no such record at all.

    Avro and ClickHouse would read more than is right: both take a column of another dtype for the same `bytes`, and one
    that is not there for empty. So a schema from a registry must have every field that this version knows, of the same
    type, except those that have a default because they were added later.
    """
    if writer.name not in NAMES:
        return ""
    written = {f["name"]: f["type"] for f in writer.fields}
    for known in schema(writer.name).fields:
        name = known["name"]
        if name not in written:
            if "default" not in known:
                return f"{writer.name} has no field {name}"
        elif _type(written[name]) != _type(known["type"]):
            return f"{writer.name}.{name} is {_said(written[name])}, and {_said(known['type'])} is expected"
    return ""


def _type(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a field's type without its words and namespaces: equal ones have the same bytes and mean the same."""
    if isinstance(node, list):
        return [_type(inner) for inner in node]
    if not isinstance(node, dict):
        return str(node).rpartition(".")[2]
    kept = {key: node[key] for key in _OF_A_TYPE if key in node}
    if "name" in kept:
        kept["name"] = str(kept["name"]).rpartition(".")[2]
    for key in ("type", "items", "values"):
        if key in kept:
            kept[key] = _type(kept[key])
    if "fields" in kept:
        kept["fields"] = [(f["name"], _type(f["type"])) for f in kept["fields"]]
    return kept["type"] if set(kept) == {"type"} else kept


def _said(node: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(_type(node))


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
        found += _other_fields(new, old)
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
    if new_order[: len(shared)] != [name for name in old_order if name in new_order]:
        found.append(f"{new.name}: the fields are in another order than before; a new field goes to the end")
    return found


def _other_fields(new: AvroSchema, old: AvroSchema) -> Iterator[str]:
    """Yield the changes that Avro allows and the landing tables do not: each field and each part of one is a column."""
    before = {f["name"]: f["type"] for f in old.fields}
    for field in new.fields:
        name, kind = field["name"], field["type"]
        if name in before and _type(kind) != _type(before[name]):
            yield f"{new.name}: {name} is of another type than before; add a field beside it"
        if name not in before and _OF_THE_SINK.fullmatch(name):
            yield f"{new.name}: {name} is a name of what the sink adds to a record; take another"
        if name not in before and _endless(kind):
            yield f"{new.name}: the items of {name} take no bytes, so a few bytes can claim any number of them"


def _endless(node: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether a type contains an array whose items take no bytes."""
    if isinstance(node, list):
        return any(_endless(branch) for branch in node)
    if not isinstance(node, dict):
        return False
    inner = [*(node.get(key) for key in ("type", "items", "values")), *(f["type"] for f in node.get("fields", ()))]
    return (node["type"] == "array" and _weightless(node["items"])) or any(_endless(part) for part in inner)


def _weightless(node: Any) -> bool:  # noqa: ANN401 - JSON
    if not isinstance(node, dict):
        return bool(node == "null")
    if node["type"] == "record":
        return all(_weightless(f["type"]) for f in node["fields"])
    return bool(node.get("size") == 0) or _weightless(node["type"])


def check_all() -> dict[str, list[str]]:
    """Return the problems of every schema of the package, by record name."""
    return {name: problems(schema(name), history(name)) for name in NAMES}
