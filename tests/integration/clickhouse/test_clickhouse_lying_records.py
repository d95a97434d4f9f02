"""A record that contradicts itself is a data error that names the column, and nothing of its insert is stored."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import fastavro
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbus.clickhouse.errors import DataError
from runbus.clickhouse.tables import STEPS
from runbus.config.errors import InvalidValue
from runbus.schemas import batch as codec
from runbus.schemas.avsc import schema

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration

ROWS = np.array([0, 1], "<u4").tobytes()
VALUES = np.array([0.0, 1.0], "<f8").tobytes()
LONG = bytes(8)

LIES: dict[str, tuple[str, dict[str, Any]]] = {
    "no steps": ("count", {"count": 0}),
    "negative count": ("count", {"count": -3}),
    "more steps than columns": ("", {"count": 4}),
    "fewer steps than columns": ("", {"count": 2}),
    "huge count": ("", {"count": 2**31 - 1}),
    "negative first_seq": ("first_seq", {"first_seq": -1}),
    "seq beyond int64": ("first_seq", {"first_seq": 2**63 - 2}),
    "negative attempt": ("attempt", {"attempt": -1}),
    "negative dropped": ("dropped", {"dropped": -1}),
    "negative sent_at": ("sent_at", {"sent_at": -1}),
    "no run": ("run_id", {"run_id": ""}),
    "no agent": ("agent_id", {"agent_id": ""}),
    "a slash in the run": ("run_id", {"run_id": "a/b"}),
    "a line break in the agent": ("agent_id", {"agent_id": "a\nb"}),
    "a run of 256 bytes": ("run_id", {"run_id": "x" * 256}),
    **{
        f"{name} one value short": (name, {name: bytes(2 * width)})
        for name, width in [("env", 4), ("episode", 8), ("step", 4), ("tick", 8), ("ts", 8), ("reward", 8), ("seed", 8)]
    },
    **{
        f"{name} with half a value": (name, {name: bytes(3 * width - width // 2)})
        for name, width in [("env", 4), ("episode", 8), ("step", 4), ("tick", 8), ("ts", 8), ("reward", 8), ("seed", 8)]
    },
    "terminated one value long": ("terminated", {"terminated": bytes(4)}),
    "truncated empty": ("truncated", {"truncated": b""}),
    "terminated is two": ("terminated", {"terminated": b"\x00\x02\x00"}),
    "truncated is 255": ("truncated", {"truncated": b"\x00\xff\x01"}),
    "info for some steps": ("info", {"info": ["{}", "{}"]}),
    "extras with more values": ("extras", {"extras": [{"name": "x", "rows": ROWS, "values": VALUES + LONG}]}),
    "extras cut short": ("extras", {"extras": [{"name": "x", "rows": ROWS[:-1], "values": VALUES[:-2]}]}),
    "extras row not below count": (
        "extras",
        {"extras": [{"name": "x", "rows": np.array([0, 3], "<u4").tobytes(), "values": VALUES}]},
    ),
    "absent for some steps": ("absent", {"absent": bytes(2)}),
    "absent is four": ("absent", {"absent": b"\x00\x04\x01"}),
    "kind for more steps": ("kind", {"kind": bytes(4)}),
    "status for some steps": ("status", {"status": bytes(1)}),
    "parent with half a value": ("parent", {"parent": bytes(20)}),
    "large seeds for some steps": ("large_seeds", {"large_seeds": ["", "1"]}),
    "a large seed that is no number": ("large_seeds", {"large_seeds": ["", "1e9", ""]}),
    "stop for more steps": ("stop", {"stop": [""] * 4}),
    "labels with more values": ("labels", {"labels": [{"name": "x", "rows": bytes(4), "values": ["a", "b"]}]}),
    "labels cut short": ("labels", {"labels": [{"name": "x", "rows": ROWS[:-1], "values": ["a", "b"]}]}),
    "labels row not below count": (
        "labels",
        {"labels": [{"name": "x", "rows": np.array([0, 3], "<u4").tobytes(), "values": ["a", "b"]}]},
    ),
    "labels row twice": ("labels", {"labels": [{"name": "x", "rows": bytes(8), "values": ["a", "b"]}]}),
    "labels rows descend": (
        "labels",
        {"labels": [{"name": "x", "rows": np.array([2, 1], "<u4").tobytes(), "values": ["a", "b"]}]},
    ),
    "a label twice": ("labels", {"labels": [{"name": "x", "rows": b"", "values": []}] * 2}),
    "extras rows descend": (
        "extras",
        {"extras": [{"name": "x", "rows": np.array([2, 1], "<u4").tobytes(), "values": VALUES}]},
    ),
    "unknown dtype": ("action_dtype", {"action_dtype": "<c8"}),
    "big-endian dtype": ("observation_dtype", {"observation_dtype": ">f4"}),
    "negative shape": ("observation_shape", {"observation_shape": [-2]}),
    "two negative lengths": ("observation_shape", {"observation_shape": [-1, -2]}),
    "width of another dtype": ("observation_width", {"observation_dtype": "<f8"}),
    "width of another shape": ("observation_width", {"observation_shape": [3]}),
    "numbers of variable width": ("action_width", {"action_width": -1}),
    "ragged numbers of fixed width": ("action_width", {"action_shape": [-1]}),
    "ragged in another place than the first": ("action_shape", {"action_shape": [2, -1], "action_width": -1}),
    "ragged items of no bytes": (
        "action_shape",
        {"action_shape": [-1, 0], "action_width": -1, "action": bytes(12)},
    ),
    "ragged text": ("action_shape", {"action_dtype": "text", "action_shape": [-1], "action_width": -1}),
    "half an item": (
        "action ",
        {"action_shape": [-1], "action_width": -1, "action": np.array([8, 0, 7], "<u4").tobytes() + bytes(15)},
    ),
    "half an item of two numbers": (
        "action ",
        {"action_shape": [-1, 2], "action_width": -1, "action": np.array([16, 0, 8], "<u4").tobytes() + bytes(24)},
    ),
    "text of fixed width": ("action_width", {"action_dtype": "text"}),
    "omitted with a width": ("action_width", {"action_dtype": "omitted:<i8"}),
    "omitted with bytes": ("action ", {"action_dtype": "omitted:<i8", "action_width": 0}),
    "none with bytes": ("action ", {"action_dtype": "", "action_width": 0}),
    "action one value short": ("action ", {"action": bytes(16)}),
    "observation one byte long": ("observation ", {"observation": bytes(25)}),
    "text without its lengths": ("action ", {"action_dtype": "text", "action_width": -1, "action": b"\x01"}),
    "text shorter than its lengths": (
        "action ",
        {"action_dtype": "text", "action_width": -1, "action": np.array([1, 2, 3], "<u4").tobytes() + b"12345"},
    ),
    "text longer than its lengths": (
        "action ",
        {"action_dtype": "text", "action_width": -1, "action": np.array([1, 0, 0], "<u4").tobytes() + b"12"},
    ),
}


@pytest.mark.parametrize(("named", "lie"), LIES.values(), ids=LIES)
def test_lie_is_refused(store: Store, run_id: str, batch: Batch, named: str, lie: dict[str, Any]) -> None:
    """The error names the column, the honest records beside it are not stored either, and the codec agrees."""
    honest, lying = batch(3), batch(3) | lie
    with pytest.raises(DataError, match=f"runbus: steps.{named}"):
        store.insert_steps([honest, lying, honest])
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 0
    if named != "first_seq" or lie["first_seq"] < 0:
        with pytest.raises(InvalidValue):
            codec.decode(_encoded(lying))


def test_extra_named_twice_is_refused(store: Store, run_id: str, batch: Batch) -> None:
    """A map holds a name once, so a second entry of that name would be lost."""
    entry = {"name": "x", "rows": ROWS, "values": VALUES}
    with pytest.raises(DataError, match=r"steps\.extras has the same name twice"):
        store.insert_steps([batch(3, extras=[entry, entry])])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_record_is_refused(store: Store, run_id: str, batch: Batch, data: st.DataObject) -> None:
    """An Avro value cut anywhere stores nothing, whatever stands before and behind it."""
    whole = _encoded(batch(3))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(DataError):
        store.insert(STEPS, [whole, cut, whole])
    assert store.one("SELECT count() FROM steps WHERE run_id = {r:String}", r=run_id) == 0


def test_record_without_end_is_refused(store: Store, run_id: str, batch: Batch) -> None:
    """A last record that is cut short is a data error too."""
    with pytest.raises(DataError):
        store.insert(STEPS, [_encoded(batch(3))[:-1]])


def _encoded(record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema("StepBatch").parsed, record)
    return out.getvalue()
