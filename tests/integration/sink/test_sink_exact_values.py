"""From the agent's hand to the row and back: Recorder, Kafka, sink, ClickHouse, decode_value; bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runbus.recorder import Recorder, RunBus
from runbus.schemas.layout import NUMERIC_DTYPES, Layout, decode_value
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
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


VALUES: dict[str, list[Any]] = {f"dtype {d.strip('|<')}": _dtype_values(d) for d in sorted(NUMERIC_DTYPES)} | {
    f"space {i} {type(s).__name__}": _space_values(s) for i, s in enumerate(SPACE_EXAMPLES)
}


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


def _layout(dtype: str, shape: tuple[int, ...], raw: str) -> Layout:
    return Layout(dtype, shape, -1 if dtype in ("text", "json") else len(raw) // 2)


def _expect(found: Any, value: Any) -> None:
    if isinstance(value, tuple) and not value:
        assert found == []
    else:
        assert_same(found, value)
