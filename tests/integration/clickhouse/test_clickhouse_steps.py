"""From a StepBatch record to the rows of `steps`, by the view: exact values, for every layout."""

from __future__ import annotations

import json
import math
import struct
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runbus.schemas.layout import NUMERIC_DTYPES, Layout, encode_value, layout_of, pack

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration

FEW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
INT64 = st.integers(-(2**63), 2**63 - 1)
ANY_FLOAT = st.floats(width=64)


def column(values: list[Any], kind: str) -> bytes:
    """Return little-endian bytes of the values."""
    return np.array(values, kind).tobytes()


def valued(name: str, layout: Layout, values: list[bytes]) -> dict[str, Any]:
    """Return the fields of a record that hold these encoded values as its `name` column."""
    return {
        f"{name}_dtype": layout.dtype,
        f"{name}_shape": list(layout.shape),
        f"{name}_width": layout.width,
        name: pack(layout, values),
    }


def raw_of(store: Store, run_id: str, name: str) -> list[bytes]:
    """Return the stored bytes of a column by seq; hex on the way, because they are no text."""
    rows = store.rows(f"SELECT hex({name}_raw) FROM steps WHERE run_id = {{r:String}} ORDER BY seq", r=run_id)
    return [bytes.fromhex(text) for (text,) in rows]


def same(left: list[float], right: list[float]) -> bool:
    """Return whether two lists are bit for bit equal (NaN equals NaN, -0.0 differs from 0.0)."""
    return struct.pack(f"{len(left)}d", *left) == struct.pack(f"{len(right)}d", *right)


def test_every_column_of_a_plain_record(store: Store, run_id: str, batch: Batch) -> None:
    """Each column of the record is one column of the row; a reset has no action."""
    store.insert_steps([batch(2, 10, dropped=7)])
    names = (
        "agent_id, attempt, seq, env, episode, step, tick, toUnixTimestamp64Micro(ts), reward, terminated, truncated, "
        "seed, extras, info, action, observation, dropped, toUnixTimestamp64Micro(sent_at), kafka_topic_id, "
        "kafka_partition, kafka_offset"
    )
    rows = store.rows(f"SELECT {names} FROM steps WHERE run_id = {{r:String}} ORDER BY seq", r=run_id)
    start = 1_790_000_000_000_000
    head, tail = ("agent-0", start), (7, start + 1_000_000, "topic-1", 0, 0)
    assert rows == [
        (*head, 10, 0, 1, 0, -1, start + 10_000, 0.0, False, False, None, {}, "", [], [10, -10], *tail),
        (*head, 11, 0, 1, 1, -1, start + 11_000, 1.0, False, False, None, {}, "", [11], [11, -11], *tail),
    ]


def test_optional_columns(store: Store, run_id: str, batch: Batch) -> None:
    """tick, info, seed and extras are stored where they are, and absent where they are not."""
    record = batch(
        3,
        tick=column([5, 6, 7], "<i8"),
        info=['{"a":1}', "", "{}"],
        seed=column([42, -(2**63), -1], "<i8"),
        extras=[
            {"name": "loss", "rows": column([0, 2], "<u4"), "values": column([0.5, math.inf], "<f8")},
            {"name": "lr", "rows": column([2], "<u4"), "values": column([-1.0], "<f8")},
            {"name": "none", "rows": b"", "values": b""},
        ],
    )
    store.insert_steps([record, batch(1, 3)])
    assert store.rows(
        "SELECT tick, info, seed, extras FROM steps WHERE run_id = {r:String} ORDER BY seq", r=run_id
    ) == [
        (5, '{"a":1}', 42, {"loss": 0.5}),
        (6, "", None, {}),
        (7, "{}", -1, {"loss": math.inf, "lr": -1.0}),
        (-1, "", None, {}),
    ]


def test_value_that_was_not_recorded_is_visible(store: Store, run_id: str, batch: Batch) -> None:
    """An omitted observation keeps dtype and shape, without bytes; a stream without one has neither."""
    left_out = valued("observation", Layout("omitted:|u1", (210, 160, 3), 0), [b"", b""])
    none = valued("observation", Layout(), [b"", b""])
    store.insert_steps([batch(2) | left_out, batch(2, 2) | none])
    assert store.rows(
        "SELECT DISTINCT observation_dtype, observation_shape, observation_raw, observation FROM steps "
        "WHERE run_id = {r:String} ORDER BY 1",
        r=run_id,
    ) == [("", [], "", []), ("omitted:|u1", [210, 160, 3], "", [])]


def test_reset_action_that_is_not_zero_is_kept(store: Store, run_id: str, batch: Batch) -> None:
    """Only zero bytes are taken for 'no action' on a reset: nothing recorded is thrown away."""
    store.insert_steps([batch(1, action=column([9], "<i8"))])
    assert store.one("SELECT action FROM steps WHERE run_id = {r:String}", r=run_id) == [9]


def test_struct_keeps_its_parts(store: Store, run_id: str, batch: Batch) -> None:
    """A Dict observation with text in it is stored byte for byte, its layout beside it."""
    values = [{"text": "é" * n, "xy": np.array([n, -n], "<f4")} for n in range(3)]
    layout = layout_of(values[0])
    encoded = [encode_value(layout, v) for v in values]
    store.insert_steps([batch(3) | valued("observation", layout, encoded)])
    assert raw_of(store, run_id, "observation") == encoded
    assert store.one("SELECT any(observation_dtype) FROM steps WHERE run_id = {r:String}", r=run_id) == layout.dtype


@pytest.mark.parametrize("count", [1, 15, 16, 17, 255, 256, 257, 1000])
def test_values_are_cut_at_every_count(store: Store, run_id: str, batch: Batch, count: int) -> None:
    """Cutting in groups of 16 loses nothing at any number of steps, for fixed and variable widths."""
    texts = [f"{'x' * (i % 40)}{i}".encode() for i in range(count)]
    store.insert_steps([batch(count) | valued("action", Layout("text", (), -1), texts)])
    assert raw_of(store, run_id, "action") == texts
    observations = store.rows("SELECT observation FROM steps WHERE run_id = {r:String} ORDER BY seq", r=run_id)
    assert observations == [([float(i), float(-i)],) for i in range(count)]


def test_empty_arrays(store: Store, run_id: str, batch: Batch) -> None:
    """A shape with a zero in it is a value of no bytes, and not 'no value'."""
    layout = layout_of(np.zeros((2, 0), "<f4"))
    store.insert_steps([batch(3) | valued("observation", layout, [b""] * 3)])
    names = "observation_dtype, observation_shape, observation_raw, observation"
    rows = store.rows(f"SELECT DISTINCT {names} FROM steps WHERE run_id = {{r:String}}", r=run_id)
    assert rows == [("<f4", [2, 0], "", [])]


@FEW
@given(data=st.data(), dtype=st.sampled_from(sorted(NUMERIC_DTYPES)), shape=hnp.array_shapes(min_dims=0, max_dims=3))
def test_numeric_values_round_trip(
    store: Store, batch: Batch, data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    """Every dtype and shape keeps its bytes, and reads as numbers wherever they are exact."""
    values = data.draw(hnp.arrays(dtype, (3, *shape)))
    layout = layout_of(values[0])
    encoded = [v.tobytes() for v in values]
    run_id = uuid.uuid4().hex
    store.insert_steps([batch(3, run_id=run_id) | valued("observation", layout, encoded)])
    assert raw_of(store, run_id, "observation") == encoded
    rows = store.rows("SELECT observation, observation_int FROM steps WHERE run_id = {r:String} ORDER BY seq", r=run_id)
    for value, (floats, ints) in zip(values, rows, strict=True):
        assert same(floats, value.ravel().astype("<f8").tolist())
        exact = np.dtype(dtype).kind != "f" and int(value.max()) < 2**63
        assert ints == ([int(x) for x in value.ravel()] if exact else [])


@FEW
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=20), kind=st.sampled_from(["text", "json"]))
def test_text_and_json_round_trip(store: Store, batch: Batch, texts: list[str], kind: str) -> None:
    """Unicode, empty and quoted texts come back as they were, as action and as observation."""
    layout = Layout(kind, (), -1)
    encoded = [(t if kind == "text" else json.dumps({"t": t}, ensure_ascii=False)).encode() for t in texts]
    run_id = uuid.uuid4().hex
    record = (
        batch(len(texts), run_id=run_id) | valued("action", layout, encoded) | valued("observation", layout, encoded)
    )
    store.insert_steps([record])
    rows = store.rows(
        "SELECT action_text, observation_text FROM steps WHERE run_id = {r:String} ORDER BY seq", r=run_id
    )
    assert rows == [(t.decode(), t.decode()) for t in encoded]


@FEW
@given(
    steps=st.lists(st.tuples(ANY_FLOAT, INT64, INT64, INT64, st.booleans(), st.booleans()), min_size=1, max_size=20),
    extra=st.dictionaries(st.integers(0, 19), ANY_FLOAT, max_size=20),
    name=st.text(max_size=10),
)
def test_numbers_round_trip(store: Store, batch: Batch, steps: list[Any], extra: dict[int, float], name: str) -> None:
    """NaN, infinities, -0.0 and the ends of int64 survive in rewards, extras, ticks, episodes and seeds."""
    rewards, ticks, episodes, seeds, ended, cut = (list(c) for c in zip(*steps, strict=True))
    kept = {row: value for row, value in sorted(extra.items()) if row < len(steps)}
    entry = {"name": name, "rows": column(list(kept), "<u4"), "values": column(list(kept.values()), "<f8")}
    run_id = uuid.uuid4().hex
    record = batch(
        len(steps),
        run_id=run_id,
        reward=column(rewards, "<f8"),
        tick=column(ticks, "<i8"),
        episode=column(episodes, "<i8"),
        seed=column(seeds, "<i8"),
        terminated=column(ended, "u1"),
        truncated=column(cut, "u1"),
        extras=[entry],
    )
    store.insert_steps([record])
    rows = store.rows(
        "SELECT reward, tick, episode, seed, terminated, truncated, extras FROM steps WHERE run_id = {r:String} "
        "ORDER BY seq",
        r=run_id,
    )
    assert same([r[0] for r in rows], rewards)
    assert [r[1:6] for r in rows] == [
        (t, e, None if s == -(2**63) else s, a, b)
        for t, e, s, a, b in zip(ticks, episodes, seeds, ended, cut, strict=True)
    ]
    assert [list(r[6]) for r in rows] == [[name] if i in kept else [] for i in range(len(rows))]
    assert same([v for r in rows for v in r[6].values()], list(kept.values()))
