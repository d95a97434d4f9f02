"""Which changes of a schema fit what is in the log, and which do not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runbus.schemas.avsc import NAMES, AvroSchema, schema
from runbus.schemas.evolution import check_all, history, problems

Fields = list[dict[str, Any]]
NEW = {"name": "novelty", "type": "long", "default": 0}


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
    ],
)
def test_what_is_not_compatible(change: Callable[[Fields], Fields], says: str) -> None:
    """Removing, renaming, retyping, moving, another dtype (nested too), a field without default: named in the text."""
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
