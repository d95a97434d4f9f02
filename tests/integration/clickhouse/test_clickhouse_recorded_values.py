"""docs/recorded-values.md on the real engine: what SQL shows of each value, and JSON that ClickHouse reads."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from runbus.clickhouse.tables import STEPS
from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import encode
from tests.support.recorded_values import documented, recorded

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Store

pytestmark = pytest.mark.integration


def test_sql_shows_what_the_page_says(store: Store, run_id: str) -> None:
    """Each row of the tables: the column that it names has the value that it names."""
    rows = documented()
    store.insert(STEPS, [encode(recorded(row, f"{run_id}-{i}")) for i, row in enumerate(rows)])
    differing = []
    for i, row in enumerate(rows):
        column, expected = row.sql.split(" = ", 1)
        found = store.one(f"SELECT {column} FROM steps WHERE run_id = {{r:String}}", r=f"{run_id}-{i}")
        literal = eval(expected)
        if (found.encode() if isinstance(literal, bytes) and isinstance(found, str) else found) != literal:
            differing.append((row.value, column, found, literal))
    assert differing == []


def _hostile_documents() -> list[Any]:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    cyclic: dict[str, Any] = {}
    cyclic["me"] = [cyclic]
    return [
        math.nan,
        [math.inf, -math.inf],
        "half \ud800 a pair",
        {"\udfff": 1},
        2**64,
        -(2**80),
        10**5000,
        deep,
        cyclic,
        {1: 2, "1": 3, None: 4},
        b"\xff\x00",
        "\x00\x7f\u2028",
        1e308,
        5e-324,
        {"a": {"b": [None, True, "x" * 5000]}},
    ]


def test_clickhouse_reads_every_document(store: Store, run_id: str) -> None:
    """Beside whatever else is in it, `JSONExtract` finds a value of an action, an observation and an info."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder(run_id, bus=bus, kafka=False)
    documents = _hostile_documents()
    for bad in documents:
        document = {"known": 7, "bad": bad, "name": "x"}
        recorder.step(document, 1.0, False, False, document, info=document)
    recorder.close()
    batches = [event.batch() for event in subscription.get_many(100) if isinstance(event, StepsRecorded)]
    store.insert(STEPS, map(encode, batches))
    said = [f"JSONExtractInt({text}, 'known')" for text in ("action_text", "observation_text", "info")]
    names = [f"JSONExtractString({text}, 'name')" for text in ("action_text", "observation_text", "info")]
    valid = [f"isValidJSON({text})" for text in ("action_text", "observation_text", "info")]
    found = store.rows(
        f"SELECT {', '.join(said + names + valid)} FROM steps WHERE run_id = {{r:String}} ORDER BY seq", r=run_id
    )
    assert found == [(7, 7, 7, "x", "x", "x", 1, 1, 1)] * len(documents)
    texts = store.rows("SELECT action_text FROM steps WHERE run_id = {r:String} ORDER BY seq", r=run_id)
    assert all(json.loads(text)["known"] == 7 for (text,) in texts)
