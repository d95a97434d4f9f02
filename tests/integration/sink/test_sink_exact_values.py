"""From the agent's hand to the row and back: Recorder, Kafka, sink, ClickHouse, decode_value; bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runbus.recorder import ABSENT, Recorder, RunBus
from runbus.schemas.layout import NUMERIC_DTYPES, Layout, decode_value
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.support.waiting import until
from tests.unit.test_schemas_layout import SPACE_EXAMPLES, assert_same

pytestmark = pytest.mark.integration

SAMPLES = 12


def _dtype_values(dtype: str) -> list[Any]:
    """Return random arrays of any bit pattern (NaN payloads, infinities and extremes among them) and a scalar."""
    random = np.random.default_rng(int.from_bytes(dtype.encode(), "big"))
    kind = np.dtype(dtype)
    shapes = [(3,), (2, 2)] * (SAMPLES // 2)
    if kind.kind == "b":
        return [random.integers(0, 2, shape).astype(bool) for shape in shapes]
    arrays = [np.frombuffer(random.bytes(kind.itemsize * int(np.prod(s))), kind).reshape(s) for s in shapes]
    extremes = [np.nan, np.inf, -np.inf, -0.0] if kind.kind == "f" else [np.iinfo(kind).min, np.iinfo(kind).max]
    return [*arrays, np.array(extremes, kind), kind.type(1)]


def _space_values(space: Any) -> list[Any]:
    space.seed(11)
    return [space.sample() for _ in range(SAMPLES)]


RAGGED: dict[str, list[Any]] = {
    "ragged token ids": [np.arange(n, dtype="<i4") for n in (3, 5, 0, 1, 2)],
    "ragged points": [np.random.default_rng(n).normal(size=(n, 3)).astype("<f4") for n in (2, 4, 1, 0)],
    "ragged parts": [{"ids": np.arange(n), "mask": np.ones(n, bool), "said": "x" * n} for n in (2, 5, 1, 3)],
}


VALUES: dict[str, list[Any]] = {f"dtype {d.strip('|<')}": _dtype_values(d) for d in sorted(NUMERIC_DTYPES)} | {
    f"space {i} {type(s).__name__}": _space_values(s) for i, s in enumerate(SPACE_EXAMPLES)
}
VALUES |= RAGGED


def test_every_dtype_shape_and_space_comes_back_from_clickhouse(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """What an agent records as observation and as action is what its row decodes to, and no step is dropped."""
    bus = RunBus()
    for agent, values in VALUES.items():
        recorder = Recorder(feed.run, agent, bus=bus, settings=feed.settings, observations="all")
        recorder.reset(values[0], seed=2**62 + 1)
        for value in values:
            recorder.step(value, 0.1, False, False, value)
        recorder.close()
        assert recorder.flush(60)
        assert recorder.stats()["dropped"] == 0, agent
        feed.produced[agent] = len(values) + 1
    sinks.start()
    tables.wait(feed)
    rows = tables.client.query(
        "SELECT agent_id, seq, seed, reward, action_dtype, action_shape, hex(action_raw), observation_dtype, "
        "observation_shape, hex(observation_raw) FROM steps WHERE run_id = {run:String} ORDER BY agent_id, seq",
        parameters={"run": feed.run},
    ).result_rows
    assert len(rows) == feed.total
    for agent, seq, seed, reward, *columns in rows:
        value = VALUES[agent][max(seq - 1, 0)]
        assert (seed, reward) == ((2**62 + 1, 0.0) if seq == 0 else (None, 0.1))
        for dtype, shape, raw in (columns[:3], columns[3:])[0 if seq else 1 :]:
            _expect(decode_value(_layout(dtype, tuple(shape), raw), bytes.fromhex(raw)), value)


def test_what_is_said_of_rows_comes_back_from_clickhouse(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Absent values, seeds of any size, words, labels and numbers of every row; those of a row that is not are none."""
    recorder = Recorder(feed.run, "said", bus=RunBus(), settings=feed.settings, labels={"team": "ä"}, tags=["x"])
    asked = recorder.reset("question", seed=2**128 + 1, labels={"task": "sort", "version": 3})
    recorder.log({"loss": 1.0})
    recorder.log({"loss": 2.0, "lr": 0.5})
    recorder.step("call", 0.0, False, False, ABSENT, kind="model", parent=asked)
    recorder.step(ABSENT, 1.5, True, False, "done", kind="tool", status="timeout", parent=1, stop="max_turns")
    recorder.log({"late": -0.0})
    recorder.log({"late": 3.0})
    recorder.close()
    assert recorder.flush(60)
    feed.produced["said"] = 3
    sinks.start()
    tables.wait(feed)
    names = "kind, status, parent, seed_text, labels, stop, extras, extras_all, action_dtype, action_text"
    rows = tables.client.query(
        f"SELECT {names}, observation_dtype, observation_text FROM steps WHERE run_id = {{run:String}} ORDER BY seq",
        parameters={"run": feed.run},
    ).result_rows
    labels = {"task": "sort", "version": "3"}
    extras, every = {"loss": 2.0, "lr": 0.5}, {"loss": [1.0, 2.0], "lr": [0.5]}
    assert rows == [
        ("", "", -1, str(2**128 + 1), labels, "", {}, {}, "text", "", "text", "question"),
        ("model", "", 0, "", {}, "", extras, every, "text", "call", "absent:text", ""),
        ("tool", "timeout", 1, "", {}, "max_turns", {}, {}, "absent:text", "", "text", "done"),
    ]
    finished = "SELECT count() FROM runs WHERE run_id = {run:String} AND kind = 'FINISHED'"
    until("the end is stored", lambda: tables.one(finished, run=feed.run) == 1)
    ended = tables.client.query(
        "SELECT labels, tags, parent, parent_seq, logged FROM runs WHERE run_id = {run:String} AND kind = 'FINISHED'",
        parameters={"run": feed.run},
    ).result_rows
    assert ended == [({"team": "ä"}, ["x"], "", -1, {"late": [-0.0, 3.0]})]


def _layout(dtype: str, shape: tuple[int, ...], raw: str) -> Layout:
    return Layout(dtype, shape, -1 if dtype in ("text", "json") else len(raw) // 2)


def _expect(found: Any, value: Any) -> None:
    if isinstance(value, tuple) and not value:
        assert found == []
    else:
        assert_same(found, value)
