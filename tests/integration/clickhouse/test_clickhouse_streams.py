"""Runs, episodes and heartbeats: landing, views, named queries; and the error numbers of this engine."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import fastavro
import numpy as np
import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import CODE_NAMES, Configuration, DataError, translated
from runbus.clickhouse.queries import query
from runbus.clickhouse.tables import EPISODES, HEARTBEATS, RUNS, StoredTopic
from runbus.schemas.avsc import schema

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration


def run_event(run_id: str, agent: str, attempt: int, sent_at: int, **fields: object) -> dict[str, Any]:
    """Return a STARTED event, any field replaced by name."""
    return {
        "run_id": run_id,
        "agent_id": agent,
        "attempt": attempt,
        "kind": "STARTED",
        "sent_at": sent_at,
        "started_at": attempt,
        "config": '{"lr": 0.1}',
        "observation_space": "",
        "action_space": "",
        "produced": 0,
        "dropped": 0,
        "episodes": 0,
        "outcome": "",
        "error": "",
        "summary": "{}",
        "host": "here",
        "pid": 1,
        "version": "0.1.0",
    } | fields


def finished(run_id: str, agent: str, attempt: int, sent_at: int, outcome: str) -> dict[str, Any]:
    """Return a FINISHED event of 20 steps, 2 dropped, 2 episodes."""
    counts = {"produced": 20, "dropped": 2, "episodes": 2}
    return run_event(run_id, agent, attempt, sent_at, kind="FINISHED", outcome=outcome, **counts)


def episode(run_id: str, revision: int, **fields: object) -> dict[str, Any]:
    """Return a finalised episode."""
    return {
        "id": f"{run_id}-0",
        "revision": revision,
        "run_id": run_id,
        "agent_id": "a",
        "attempt": 1,
        "env": 0,
        "episode": 0,
        "reason": "truncated",
        "complete": False,
        "missing_from": [3, 8],
        "missing_to": [4, 8],
        "return": float(revision),
        "length": 9,
        "first_seq": 0,
        "last_seq": 9,
        "first_ts": 1_000_000,
        "last_ts": 2_000_000,
        "min_reward": float("-inf"),
        "max_reward": 1.0,
        "extras_sum": {"loss": 0.5},
    } | fields


def put(store: Store, topic: StoredTopic, *records: dict[str, Any]) -> None:
    """Insert records."""
    bodies = []
    for record in records:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema(topic.schema).parsed, record)
        bodies.append(out.getvalue())
    store.insert(topic, bodies)


def test_run_summary(store: Store, run_id: str) -> None:
    """A run runs until the newest attempt of each agent has ended; its counts are over all attempts."""
    names = "agents, attempts, outcome, produced, dropped, isNull(finished_at)"
    summary = f"SELECT {names} FROM run_summary WHERE run_id = {{r:String}}"
    put(store, RUNS, run_event(run_id, "a", 1, 1), run_event(run_id, "a", 2, 5), run_event(run_id, "b", 1, 1))
    put(store, RUNS, finished(run_id, "a", 2, 9, "completed"))
    assert store.rows(summary, r=run_id) == [(2, 3, "running", 20, 2, True)]
    put(store, RUNS, finished(run_id, "b", 1, 12, "failed"))
    assert store.rows(summary, r=run_id) == [(2, 3, "failed", 40, 4, False)]


@pytest.mark.parametrize("sign", ["a step", "its start again"])
def test_a_run_runs_while_an_older_attempt_does(store: Store, run_id: str, batch: Batch, sign: str) -> None:
    """Train and eval of one name: neither eval's end nor its outcome is the run's while the train stream goes on."""
    train, evaluation = 1_790_000_000_000_000, 1_790_000_100_000_000
    outcome = "SELECT outcome, isNull(finished_at) FROM run_summary WHERE run_id = {r:String}"
    put(store, RUNS, run_event(run_id, "agent-0", train, train), run_event(run_id, "agent-0", evaluation, evaluation))
    store.insert_steps([batch(5)])
    put(store, RUNS, finished(run_id, "agent-0", evaluation, evaluation + 9, "completed"))
    assert store.rows(outcome, r=run_id) == [("completed", False)]  # so far the older one looks replaced
    if sign == "a step":
        late = np.full(5, evaluation + 20, "<i8").tobytes()
        store.insert_steps([batch(5, 5) | {"ts": late}])
    else:
        put(store, RUNS, run_event(run_id, "agent-0", train, evaluation + 1))
    assert store.rows(outcome, r=run_id) == [("running", True)]
    put(store, RUNS, finished(run_id, "agent-0", train, evaluation + 40, "failed"))
    assert store.rows(outcome, r=run_id) == [("failed", False)]


def test_a_worker_that_was_started_again_replaces_its_older_attempt(store: Store, run_id: str, batch: Batch) -> None:
    """An attempt that died, or that sent its end late, does not keep the run running, nor make it failed."""
    first, second, third = 1_790_000_000_000_000, 1_790_000_100_000_000, 1_790_000_200_000_000
    put(store, RUNS, *(run_event(run_id, "agent-0", attempt, attempt) for attempt in (first, second, third)))
    store.insert_steps([batch(5)])
    put(store, RUNS, finished(run_id, "agent-0", third, third + 9, "completed"))
    put(store, RUNS, finished(run_id, "agent-0", second, third + 50, "failed"))
    names = "outcome, agents, attempts, produced"
    assert store.rows(f"SELECT {names} FROM run_summary WHERE run_id = {{r:String}}", r=run_id) == [
        ("completed", 1, 3, 40)
    ]


def test_run_list_and_show(store: Store, run_id: str, batch: Batch) -> None:
    """The named queries list the run and its streams, with what is stored beside what was produced."""
    put(store, RUNS, run_event(run_id, "agent-0", 1_790_000_000_000_000, 1_790_000_000_000_000))
    store.insert_steps([batch(7)])
    for canary, with_canary, listed in (("runbus-canary", False, True), (run_id, False, False), (run_id, True, True)):
        rows = store.rows(query("run_list"), limit=1000, canary=canary, all=with_canary)
        assert (run_id in [row[0] for row in rows]) == listed
    shown = store.client.query(query("run_show"), parameters={"run_id": run_id})
    (row,) = [dict(zip(shown.column_names, r, strict=True)) for r in shown.result_rows]
    assert (row["agent_id"], row["outcome"], row["finished_at"], row["stored"]) == ("agent-0", "running", None, 7)


def test_newest_revision_of_an_episode(store: Store, run_id: str) -> None:
    """episodes keeps every revision, episodes_latest the newest."""
    put(store, EPISODES, episode(run_id, 1), episode(run_id, 0))
    assert store.one("SELECT count() FROM episodes WHERE run_id = {r:String}", r=run_id) == 2
    names = "revision, `return`, reason, complete, missing.first, missing.last, min_reward, extras_sum"
    assert store.rows(f"SELECT {names} FROM episodes_latest WHERE run_id = {{r:String}}", r=run_id) == [
        (1, 1.0, "truncated", False, [3, 8], [4, 8], float("-inf"), {"loss": 0.5})
    ]


def test_missing_range_with_one_end_is_refused(store: Store, run_id: str) -> None:
    """An episode whose missing ranges lack an end is a data error."""
    with pytest.raises(DataError):
        put(store, EPISODES, episode(run_id, 0, missing_to=[4]))


def test_heartbeat(store: Store, run_id: str) -> None:
    """A heartbeat keeps its positions as maps."""
    positions = {"last_seq_id": {"steps:0": 12}, "committed": {"steps:0": 10}}
    counts = {"total_events": 5, "dropped_events": 1, "lag_ms": 40, "lag_events": 2}
    times = {"sent_at": 2_000_000, "started_at": 1_000_000}
    put(
        store,
        HEARTBEATS,
        {"component_id": run_id, "kind": "sink", "version": "1", "detail": "{}"} | positions | counts | times,
    )
    names = "kind, toUnixTimestamp64Micro(sent_at), lag_ms, last_seq_id['steps:0'], committed['steps:0']"
    assert store.rows(f"SELECT {names} FROM heartbeats WHERE component_id = {{r:String}}", r=run_id) == [
        ("sink", 2_000_000, 40, 12, 10)
    ]


def test_audit_counts_what_is_there_twice(store: Store, run_id: str, batch: Batch) -> None:
    """The audit tells rows, different steps, duplicates and what the recorder dropped; the holes are listed."""
    store.insert_steps([batch(10), batch(10, 20, dropped=3)])
    store.insert_steps([batch(5, 20)])
    (row,) = store.rows(query("audit_streams"), run_id=run_id)
    assert row[3:9] == (25, 20, 5, 0, 29, 3)
    stream = {"agent_id": "agent-0", "attempt": 1_790_000_000_000_000}
    assert store.rows(query("missing_ranges"), run_id=run_id, **stream) == [(10, 19)]


def test_rows_of_offsets(store: Store, batch: Batch) -> None:
    """Rows are counted per Kafka record, of the partition and the offsets that were asked for."""
    store.insert_steps([batch(n) for n in (3, 4, 5, 6)], first_offset=900_000)
    where = {"table": "steps", "topic_id": "topic-1", "partition": 0, "offsets": [900_003, 900_001, 900_009]}
    assert sorted(store.rows(query("rows_of_offsets"), **where)) == [(900_001, 4), (900_003, 6)]
    assert store.rows(query("rows_of_offsets"), **{**where, "partition": 1}) == []


def test_named_numbers_are_this_engines(store: Store) -> None:
    """Every error number in the table has the name that the engine gives it; older engines lack the newest."""
    names = dict(store.rows("SELECT number, errorCodeToName(toUInt32(number)) FROM numbers(1100)"))
    assert {n: name for n, name in CODE_NAMES.items() if names[n]} == {n: names[n] for n in CODE_NAMES if names[n]}


def test_unknown_table_is_configuration(store: Store) -> None:
    """A real 'unknown table' arrives as Configuration, with its number."""
    with pytest.raises(Configuration) as caught, translated():
        store.client.query("SELECT * FROM no_such_table")
    assert caught.value.code == 60


def test_client_serves_threads(store: Store) -> None:
    """One client runs queries side by side: it holds no session."""
    client = connect(store.settings)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: client.query(f"SELECT sum(number) + {n} FROM numbers(1000000)"), range(8)))
    assert [a.result_rows[0][0] - n for n, a in enumerate(answers)] == [499999500000] * 8
    client.close()
