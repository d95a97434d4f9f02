"""Apache Avro's own Java library reads what RunBus writes: every committed value, and the same fingerprints."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runbus.config.sources import cache
from runbus.local.jars import Artifact, class_path
from runbus.local.java import find_java
from runbus.schemas.avsc import NAMES, schema
from runbus.schemas.codec import Codec
from runbus.schemas.record import read_record
from runbus.schemas.strict_json import number_name

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(300)]
AVRO, TOOLS = (Artifact("org.apache.avro", name, "1.12.1") for name in ("avro", "avro-tools"))
GOLDEN: dict[str, str] = json.loads((Path(__file__).parents[1] / "unit/golden_values.json").read_text(encoding="utf-8"))


def avro_tools(*arguments: str) -> str:
    """Return what a tool of Apache Avro prints."""
    path = ":".join(map(str, class_path(AVRO, cache(), alone=(TOOLS,))))
    command = [str(find_java()), "-cp", path, "org.apache.avro.tool.Main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_avro_json(node: Any, value: Any) -> object:
    """Return a value as Avro's JSON encoding has it: bytes as text of their numbers, unions with the branch's name."""
    if isinstance(node, list):
        if value is None:
            return None
        (branch,) = [part for part in node if part != "null"]
        name = branch if isinstance(branch, str) else branch.get("name", branch["type"])
        return {name: as_avro_json(branch, value)}
    kind = node["type"] if isinstance(node, dict) else node
    if isinstance(kind, (dict, list)):
        return as_avro_json(kind, value)
    if kind == "record":
        return {field["name"]: as_avro_json(field["type"], value[field["name"]]) for field in node["fields"]}
    if kind == "array":
        return [as_avro_json(node["items"], part) for part in value]
    if kind == "map":
        return {key: as_avro_json(node["values"], part) for key, part in value.items()}
    if kind in ("float", "double"):
        return number_name(value)  # Java names infinities and NaN as we do
    return value.decode("latin-1") if kind == "bytes" else value


@pytest.mark.parametrize("name", NAMES)
def test_java_reads_every_committed_value(name: str, tmp_path: Path) -> None:
    """Field by field, without anything of ours but the bytes and the schema's text."""
    writer, body = Codec().open(bytes.fromhex(GOLDEN[f"{name} single-object"]), name)
    (tmp_path / "value").write_bytes(body)
    (tmp_path / "schema").write_text(writer.text, encoding="utf-8")
    printed = avro_tools("fragtojson", "--schema-file", str(tmp_path / "schema"), str(tmp_path / "value"))
    assert json.loads(printed) == as_avro_json(json.loads(writer.text), read_record(body, writer, writer))


@pytest.mark.parametrize("name", NAMES)
def test_java_computes_the_same_fingerprint(name: str, tmp_path: Path) -> None:
    """The eight bytes that stand in front of every value."""
    (tmp_path / "schema").write_text(schema(name).text, encoding="utf-8")
    printed = avro_tools("fingerprint", "--fingerprint", "CRC-64-AVRO", str(tmp_path / "schema"))
    assert printed.split()[0] == schema(name).fingerprint.hex()
