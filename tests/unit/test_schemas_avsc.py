"""What identifies a schema; that the released ones never change; that the wheel carries them."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import avro.schema
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import NAMES, AvroSchema, by_fingerprint, schema
from runbus.schemas.evolution import history

ROOT = Path(__file__).parents[2]
#: of each version, oldest first: a change here is a change of the wire format
PINNED = {
    "RunEvent": ["42a7f35b15765908", "cee0b709ba3466c2", "2b7e59cd8a6e78ec", "ed2cbb9ad6762c93"],
    "StepBatch": ["8a1359a039a4c36a", "32ea4c98335a90a5"],
    "MetricBatch": ["966e5a1c83a3d49b"],
    "EpisodeFinalized": ["b69204ab2f55d347", "796744de0083cef4"],
    "LiveMetrics": ["564be3040a2bc314"],
    "Heartbeat": ["1b14a718d0107fad"],
    "ControlCommand": ["e392dca695b82627"],
    "Annotation": ["7f363c8b2808fdde"],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprints_are_pinned(name: str) -> None:
    """The fingerprint that stands in every value does not change by accident."""
    assert [version.fingerprint.hex() for version in history(name)] == PINNED[name]


@pytest.mark.parametrize("name", NAMES)
def test_apache_avro_computes_the_same_fingerprint(name: str) -> None:
    """Apache's own library finds the same 8 bytes, in the same order."""
    # Its Python library forgets that the canonical form of {"type": "bytes", ...} is "bytes" (its Java does not)
    plain = re.sub(r'\{"type": "bytes", "dtype": "[^"]*"\}', '"bytes"', schema(name).text)
    assert 'dtype":' not in plain
    assert avro.schema.parse(plain).fingerprint("CRC-64-AVRO") == schema(name).fingerprint


def test_the_fingerprint_is_the_specification_s_little_endian() -> None:
    """Avro's published value for "int", 7275d51a3f395c8f, is written with its last byte first."""
    assert fingerprint(to_parsing_canonical_form("int"), "CRC-64-AVRO") == "8f5c393f1ad57572"


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_version_is_the_current_one(name: str) -> None:
    """The newest file of the history and the schema in use are the same text."""
    assert history(name)[-1].text == schema(name).text


def test_every_released_version_is_found_by_its_fingerprint() -> None:
    """Readers know the writers of every released version."""
    for name in NAMES:
        for version in [*history(name), schema(name)]:
            assert by_fingerprint()[version.fingerprint].name == name


@pytest.mark.parametrize("name", NAMES)
def test_documentation_and_order_of_attributes_do_not_change_the_fingerprint(name: str) -> None:
    """The parsing canonical form leaves out docs and our dtype attribute."""
    raw = json.loads(schema(name).text)
    again = AvroSchema.from_json(json.dumps({**dict(reversed(raw.items())), "doc": "other words"}))
    assert again.fingerprint == schema(name).fingerprint
    assert again.name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "1",
        '"string"',
        "[]",
        "{}",
        "[" * 50_000,
        '{"type": "record"}',
        '{"type": "record", "name": "X"}',
        '{"type": "record", "name": "X", "fields": 5}',
        '{"type": "record", "name": "X", "fields": [1]}',
        '{"type": "record", "name": "X", "fields": [{"name": "a", "type": "nope"}]}',
        '{"type": "record", "name": "X", "fields": [{"name": "a"}]}',
        '{"type": "enum", "name": "X", "symbols": ["a"]}',
        '{"type": "array", "items": "int", "name": "X"}',
        '{"type": "object", "title": "JSON schema"}',
    ],
)
def test_what_is_not_a_record_schema_is_refused(text: str) -> None:
    """Whatever a registry holds under an id, the answer is a schema or InvalidValue."""
    with pytest.raises(InvalidValue, match="not an Avro record schema"):
        AvroSchema.from_json(text)


def test_cutting_a_schema() -> None:
    """A schema can be cut before a field that it has."""
    names = [f["name"] for f in schema("StepBatch").cut_before("env").fields]
    assert names[0] == "run_id"
    assert names[-1] == "observation_width"
    with pytest.raises(InvalidValue, match="no field nonsense"):
        schema("StepBatch").cut_before("nonsense")


def test_the_wheel_carries_schemas_history_and_typing(tmp_path: Path) -> None:
    """An installed RunBus has the .avsc files, their history and py.typed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    folder = ROOT / "schemas" / "runbus" / "schemas"
    sources = [p.relative_to(ROOT / "schemas").as_posix() for p in folder.rglob("*.avsc")]
    assert len(sources) >= 2 * len(NAMES)
    assert {*sources, "runbus/py.typed"} <= names
