"""Every SQL example of docs/sql.md runs on the real engine, and finds something."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
import numpy as np
import pytest

from runbus.clickhouse.tables import ANNOTATIONS, DEAD_LETTERS, EPISODES, HEARTBEATS, METRICS, RUNS, STEPS, StoredTopic
from runbus.kafka.headers import letter_headers
from runbus.schemas.avsc import schema
from runbus.schemas.batch import NO_SEED
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.schemas.layout import Layout, pack
from runbus.schemas.metric_batch import NO_POSITION, MetricBatch, MetricColumns, MetricHeader, encode

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Store

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[3] / "docs" / "sql.md"
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
ATTEMPT = 1_790_000_000_000_000
STREAM = {"run_id": "cartpole", "agent_id": "agent-0", "attempt": ATTEMPT}


def records(topic: StoredTopic, *values: dict[str, Any]) -> list[bytes]:
    """Return the Avro bodies of the values."""
    bodies = []
    for value in values:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema(topic.schema).parsed, value)
        bodies.append(out.getvalue())
    return bodies


def step_batches() -> Iterator[dict[str, Any]]:
    """Yield one batch of a discrete agent with everything logged, one of an LLM agent, one of JSON actions."""
    count = 20
    seq = np.arange(count)
    base = {
        **STREAM,
        "count": count,
        "dropped": 0,
        "sent_at": ATTEMPT + 50_000,
        "env": np.zeros(count, "<i4").tobytes(),
        "step": (seq % 10).astype("<i4").tobytes(),
        "tick": seq.astype("<i8").tobytes(),
        "ts": (ATTEMPT + seq * 1000).astype("<i8").tobytes(),
        "reward": np.ones(count, "<f8").tobytes(),
        "terminated": (seq % 10 == 9).astype("u1").tobytes(),
        "truncated": bytes(count),
        "extras": [
            {
                "name": "loss",
                "rows": np.repeat(seq, 2).astype("<u4").tobytes(),
                "values": (np.arange(2 * count) / 7).astype("<f8").tobytes(),
            }
        ],
        "info": ['{"success": true}'] * count,
        "seed": np.where(seq % 10 == 0, 7, NO_SEED).astype("<i8").tobytes(),
        "absent": (seq % 10 == 9).astype("u1").tobytes(),
        "kind": (1 + seq % 3).astype("u1").tobytes(),
        "status": (1 + seq % 2).astype("u1").tobytes(),
        "parent": (seq - 1).astype("<i8").tobytes(),
        "large_seeds": [str(2**64) if n == 10 else "" for n in range(count)],
        "labels": [{"name": "task", "rows": np.array([0, 10], "<u4").tobytes(), "values": ["sort", "search"]}],
        "stop": ["max_turns" if n % 10 == 9 else "" for n in range(count)],
    }
    none = {"observation_dtype": "", "observation_shape": [], "observation_width": 0, "observation": b""}
    discrete = {
        "action_dtype": "<i8",
        "action_shape": [],
        "action_width": 8,
        "action": (seq % 2).astype("<i8").tobytes(),
    }
    floats = {"observation_dtype": "<f4", "observation_shape": [4], "observation_width": 16}
    texts = pack(Layout("text", (), -1), [b"hello"] * count)
    calls = pack(Layout("json", (), -1), [b'{"tool": "search"}'] * count)
    variable = {"action_shape": [], "action_width": -1}
    tokens = pack(Layout("<i4", (-1,), -1), [np.arange(n, dtype="<i4").tobytes() for n in range(count)])
    for i, fields in enumerate(
        [
            discrete | floats | {"observation": np.zeros((count, 4), "<f4").tobytes()},
            none | variable | {"action_dtype": "text", "action": texts},
            none | variable | {"action_dtype": "json", "action": calls},
            none | {"action_dtype": "<i4", "action_shape": [-1], "action_width": -1, "action": tokens},
        ]
    ):
        episode = (seq // 10 + 2 * i).astype("<i8").tobytes()
        yield {**base, **fields, "first_seq": i * count, "episode": episode}


def metrics() -> MetricBatch:
    """Return curves of a learner, and scores of the episodes 2 to 5, which are two groups."""
    count = 10
    scored = np.arange(count) >= 6
    return MetricBatch(
        MetricHeader("cartpole", "learner-0", ATTEMPT, 0, count, 0, ATTEMPT),
        MetricColumns(
            name=np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 3], "<u2"),
            at=np.where(scored, NO_POSITION, np.arange(count) % 2 * 1024),
            ts=np.full(count, ATTEMPT),
            value=np.array([0.5, 0.25, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]),
            kind=scored.astype("|u1"),
            episode=np.where(scored, np.arange(count) - 4, -1),
            env=np.where(scored, 0, -1).astype("<i4"),
        ),
        ("train/loss", "reward/format", "reward/correct", "correct"),
        ("global_step", "global_step", "global_step", ""),
        agent=tuple("agent-0" if one else "" for one in scored),
    )


@pytest.fixture(scope="module")
def filled(store: Store) -> Store:
    """Return a database with something of everything."""
    store.insert(STEPS, records(STEPS, *step_batches()))
    event = {
        **STREAM,
        "kind": "STARTED",
        "sent_at": ATTEMPT,
        "started_at": ATTEMPT,
        "config": '{"lr": 0.1}',
        "summary": "{}",
        **dict.fromkeys(("observation_space", "action_space", "outcome", "error", "host", "version"), ""),
        **dict.fromkeys(("produced", "dropped", "episodes", "pid"), 0),
        "labels": {"team": "a"},
        "tags": ["baseline"],
        "logged": {"loss": [0.5]},
        "commands": '[{"id": "c", "command": "stop", "sent_at": 1, "taken_at": 2, "answer": "done", "answered_at": 3}]',
    }
    child = event | {"agent_id": "agent-1", "parent": f"cartpole/agent-0/{ATTEMPT}", "parent_seq": 3}
    store.insert(RUNS, records(RUNS, event, child))
    episode = {
        **STREAM,
        "id": "e",
        "reason": "terminated",
        "complete": True,
        "missing_from": [],
        "missing_to": [],
        "extras_sum": {},
        "labels": {"task": "sort"},
        "stop": "max_turns",
        "revision": 1,
        **dict.fromkeys(("env", "episode", "first_seq", "first_ts", "last_ts"), 0),
        **dict.fromkeys(("return", "length", "last_seq", "min_reward", "max_reward"), 9),
    }
    rollouts = [
        episode | {"id": f"g{n}", "episode": n + 2, "labels": {"group": str(n // 2)}, "last_ts": 5} for n in range(4)
    ]
    cut = {
        "id": "f",
        "episode": 1,
        "complete": False,
        "missing_from": [12],
        "missing_to": [14],
        "length": 6,
        "return": 6,
    }
    store.insert(EPISODES, records(EPISODES, episode, episode | cut, episode | {"revision": 2}, *rollouts))
    store.insert(METRICS, [encode(metrics())])
    beat = {
        "component_id": "c",
        "kind": "sink",
        "version": "",
        "detail": "{}",
        "last_seq_id": {},
        "committed": {},
        **dict.fromkeys(("sent_at", "started_at", "total_events", "dropped_events", "lag_ms", "lag_events"), 1),
    }
    store.insert(HEARTBEATS, records(HEARTBEATS, beat))
    on = {"run_id": "cartpole", "agent_id": "", "attempt": 0, "env": -1, "episode": -1, "step": -1, "removed": False}
    said = on | {"text": "", "author": "me@here", "sent_at": 1}
    tags = [said | {"kind": "tag", "name": name} for name in ("good", "bad")]
    note = said | {"agent_id": "agent-0", "env": 0, "episode": 0, "kind": "note", "name": "n", "text": "odd"}
    store.insert(ANNOTATIONS, records(ANNOTATIONS, *tags, note, tags[1] | {"removed": True}))
    headers = dict(
        letter_headers("sink", "runbus.steps", "bad", topic_id="t", partition=0, offset=7, key=b"cartpole/a")
    )
    letter = DeadLetterRow.of("dead-letters-0-0", None, b"x", headers, ATTEMPT // 1000)
    store.insert(DEAD_LETTERS, [letter.encode(), letter.encode()])
    store.client.command("INSERT INTO lost_ranges (topic, first_offset, last_offset) VALUES ('steps', 3, 9)")
    return store


def test_page_has_examples() -> None:
    """The page is found and has its examples."""
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize("sql", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(filled: Store, sql: str) -> None:
    """The example runs and returns at least one row."""
    assert filled.rows(sql)


def test_every_table_and_column_is_documented(store: Store) -> None:
    """The page names every table and view that people read, and every column of the tables."""
    page = PAGE.read_text(encoding="utf-8")
    tables = store.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND name NOT LIKE '%landing%' AND engine != 'MaterializedView'"
    )
    columns = store.rows(
        "SELECT DISTINCT name FROM system.columns WHERE database = currentDatabase() "
        "AND table IN ('steps', 'runs', 'episodes', 'heartbeats', 'metrics', 'annotations', 'dead_letters', "
        "'lost_ranges')"
    )
    assert {name for (name,) in tables + columns if f"`{name}`" not in page} == set()
