"""Which changes of a schema fit what is in the log, and which do not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import NAMES, AvroSchema, schema
from runbus.schemas.codec import Codec, RegistryId
from runbus.schemas.evolution import check_all, history, misfit, problems

Fields = list[dict[str, Any]]
NEW = {"name": "novelty", "type": "long", "default": 0}

NOTHING = {"name": "nothing", "type": {"type": "fixed", "name": "Nothing", "size": 0}}
EXTRA: Fields = next(f for f in schema("StepBatch").fields if f["name"] == "extras")["type"]["items"]["fields"]


def _array_of(*fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"type": "record", "name": "Extra" if fields[1:] else "Item", "fields": list(fields)},
    }


def _step_batch(change: Callable[[Fields], Fields]) -> AvroSchema:
    raw = json.loads(schema("StepBatch").text)
    return AvroSchema.from_json(json.dumps({**raw, "fields": change(raw["fields"])}))


def _with(name: str, /, **changes: object) -> Callable[[Fields], Fields]:
    return lambda fields: [{**f, **changes} if f["name"] == name else f for f in fields]


def test_the_schemas_fit_every_released_version() -> None:
    """What is in the package now can live beside everything that was released."""
    assert check_all() == {name: [] for name in NAMES}
    assert all(history(name) for name in NAMES)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [*fields, NEW],
        _with("env", doc="other words"),
        lambda fields: [*fields, {**NEW, "type": {"type": "bytes", "dtype": "<f8"}, "default": ""}],
        lambda fields: fields,
    ],
)
def test_what_is_compatible(change: Callable[[Fields], Fields]) -> None:
    """A field at the end with a default, a new optional column, other documentation: no problem."""
    assert problems(_step_batch(change), [schema("StepBatch")]) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda fields: [f for f in fields if f["name"] != "reward"], "reward"),
        (lambda fields: [*fields, {"name": "novelty", "type": "long"}], "novelty"),
        (_with("dropped", type="string"), "dropped"),
        (_with("attempt", type="int"), "attempt"),
        (_with("run_id", name="run"), "run"),
        (_with("reward", type={"type": "bytes", "dtype": "<f4"}), "reward changed its dtype from <f8 to <f4"),
        (_with("reward", type="bytes"), "reward changed its dtype from <f8 to None"),
        (_with("action", type={"type": "bytes", "dtype": "<f8"}), "action changed its dtype from None to <f8"),
        (lambda fields: json.loads(json.dumps(fields).replace("<u4", "<u8")), "extras/rows changed its dtype"),
        (lambda fields: fields[::-1], "another order"),
        (lambda fields: [fields[1], fields[0], *fields[2:]], "another order"),
        (lambda fields: [NEW, *fields], "a new field goes to the end"),
        (lambda fields: [*fields[:9], NEW, *fields[9:]], "a new field goes to the end"),
        (lambda fields: [*fields, {**NEW, "name": "kafka_offset"}], "kafka_offset is a name of what the sink adds"),
        (lambda fields: [*fields, {**NEW, "name": "record_end"}], "record_end is a name of what the sink adds"),
        (
            _with("extras", type=_array_of(*EXTRA, {**NEW, "name": "unit"})),
            "extras is of another",
        ),
        (lambda fields: [*fields, {**NEW, "type": {"type": "array", "items": "null"}, "default": []}], "no bytes"),
        (lambda fields: [*fields, {**NEW, "type": _array_of(), "default": []}], "no bytes"),
        (lambda fields: [*fields, {**NEW, "type": ["null", _array_of(NOTHING)], "default": None}], "no bytes"),
    ],
)
def test_what_is_not_compatible(change: Callable[[Fields], Fields], says: str) -> None:
    """Removing, renaming, retyping, moving, another dtype (nested too), a field without default: named in the text.

    Nor does a field fit that the landing tables cannot take: in the middle, inside another, with a name of the sink's,
    or a list of which a few bytes can claim any length.
    """
    found = problems(_step_batch(change), [schema("StepBatch")])
    assert any(says in problem for problem in found), found


def test_every_version_is_compared() -> None:
    """Compatibility is transitive: a problem with the oldest version is found behind a newer one that fits."""
    newer = _step_batch(lambda fields: [*fields, NEW])
    narrowed = _step_batch(lambda fields: [*fields, {**NEW, "type": "int"}])
    assert problems(newer, [schema("StepBatch")]) == []
    assert problems(newer, [schema("StepBatch"), narrowed])


def test_a_new_enum_symbol_is_not_compatible() -> None:
    """Old readers cannot read a symbol they do not know."""
    text = schema("RunEvent").text.replace('["STARTED", "FINISHED"]', '["STARTED", "FINISHED", "PAUSED"]')
    assert problems(AvroSchema.from_json(text), [schema("RunEvent")])


def _lose(name: str) -> Callable[[Fields], Fields]:
    return lambda fields: [f for f in fields if f["name"] != name]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_released_can_be_read(name: str) -> None:
    """Every version of this package, and whatever a registry leaves of its words, fits this version."""
    for released in (schema(name), *history(name)):
        assert misfit(AvroSchema.from_json(released.text)) == ""
        plain = json.loads(released.text, object_hook=lambda node: {k: v for k, v in node.items() if k != "doc"})
        assert misfit(AvroSchema.from_json(json.dumps(plain))) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [*fields, NEW],
        lambda fields: [*fields, {**NEW, "type": {"type": "array", "items": "string"}, "default": []}],
        _with("run_id", type={"type": "string", "avro.java.string": "String"}, doc="words"),
        _with("env", type={"type": "bytes", "dtype": "<i4", "scale": 2}),
    ],
)
def test_a_newer_schema_can_be_read(change: Callable[[Fields], Fields]) -> None:
    """What was added later, and what only another tool reads, is passed over."""
    assert misfit(_step_batch(change)) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *((_lose(name), f"no field {name}") for name in ("reward", "tick", "seed", "extras", "info", "dropped")),
        (_with("reward", type={"type": "bytes", "dtype": "<i8"}), 'reward is {"type": "bytes", "dtype": "<i8"}'),
        (_with("reward", type="bytes"), 'reward is "bytes"'),
        (_with("attempt", type="int"), 'attempt is "int"'),
        (_with("attempt", type={"type": "long", "logicalType": "timestamp-millis"}), "attempt is"),
        (_with("tick", type=["null", {"type": "bytes", "dtype": "<i8"}]), "tick is"),
        (_with("extras", type=_array_of(*EXTRA[:2])), "extras is"),
        (_with("extras", type=_array_of(*EXTRA[::-1])), "extras is"),
    ],
)
def test_a_schema_that_cannot_be_read_is_told(change: Callable[[Fields], Fields], says: str) -> None:
    """A field that is gone, or of another type or dtype: both Avro and ClickHouse would read something else for it."""
    assert says in misfit(_step_batch(change))


def test_other_records_are_not_judged() -> None:
    """Whether a record is the one that is expected is another question."""
    assert misfit(AvroSchema.from_json('{"type": "record", "name": "Invoice", "fields": []}')) == ""


def test_a_registry_that_knows_an_unreadable_schema_is_of_no_help() -> None:
    """The values of such an id are InvalidValue for every reader, and the text says why."""

    class Registry:
        def id_of(self, topic: str, schema: AvroSchema) -> int:
            raise NotImplementedError

        def schema(self, schema_id: int) -> AvroSchema:
            return _step_batch(_lose("reward") if schema_id == 7 else lambda fields: [*fields, NEW])

    codec = Codec(Registry())
    assert codec.resolve(RegistryId(8)).fields[-1] == NEW
    with pytest.raises(InvalidValue, match=r"schema id 7: this version cannot read .* StepBatch has no field reward"):
        codec.resolve(RegistryId(7))
