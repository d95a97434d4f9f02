"""Finalised episodes as the sink stores them: every column of every revision, and the views on them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runbus.clickhouse.tables import EPISODES
from tests.integration.clickhouse.conftest import TOPIC_ID, body

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration

ATTEMPT = 1_790_000_000_000_000
VIEWS = ("episodes_latest", "team_episodes", "episode_check")


def finalised(
    run_id: str, agent: str = "agent-0", episode: int = 0, revision: int = 0, **fields: object
) -> dict[str, Any]:
    """Return an EpisodeFinalized of 9 steps of reward 1, as in step batches of conftest; `return_` is its return."""
    env, attempt = fields.get("env", 0), fields.get("attempt", ATTEMPT)
    return {
        "id": f"{run_id}/{agent}/{attempt}/{env}/{episode}",
        "revision": revision,
        "run_id": run_id,
        "agent_id": agent,
        "attempt": attempt,
        "env": env,
        "episode": episode,
        "reason": "terminated",
        "complete": True,
        "missing_from": [],
        "missing_to": [],
        "return": fields.pop("return_", 9.0),
        "length": 9,
        "first_seq": 10 * episode,
        "last_seq": 10 * episode + 9,
        "first_ts": ATTEMPT + 10_000 * episode,
        "last_ts": ATTEMPT + 10_000 * episode + 9_000,
        "min_reward": 1.0,
        "max_reward": 1.0,
        "extras_sum": {},
    } | fields


def put(store: Store, *episodes: dict[str, Any], first_offset: int = 0) -> None:
    """Insert them as one range of the sink."""
    store.insert(EPISODES, [body("EpisodeFinalized", e) for e in episodes], first_offset=first_offset)


def column(store: Store, run_id: str, sql: str, view: str) -> list[Any]:
    """Return one column of a run, in order of the episodes."""
    return [
        v
        for (v,) in store.rows(f"SELECT {sql} FROM {view} WHERE run_id = {{r:String}} ORDER BY env, episode", r=run_id)
    ]


def test_every_column(store: Store, run_id: str) -> None:
    """A revision with every field set is stored as it was sent, with its position; ranges keep both ends."""
    e = finalised(
        run_id,
        "größer-😀",
        episode=2**40,
        revision=3,
        env=-7,
        reason="abandoned",
        complete=False,
        missing_from=[0, 5, 2**50],
        missing_to=[3, 5, 2**50 + 8],
        return_=-1.5,
        min_reward=float("-inf"),
        max_reward=1e300,
        length=2**41,
        first_seq=4,
        last_seq=2**51,
        first_ts=1_600_000_000_123_456,
        last_ts=1_790_000_000_654_321,
        extras_sum={"loss": 0.1, "ü": math.nan},
        has_reset=False,
    )
    put(store, e, first_offset=77)
    names = [n for n in e if n not in ("missing_from", "missing_to", "first_ts", "last_ts", "extras_sum")]
    shown = ", ".join(f"`{n}`" for n in names)
    (row,) = store.rows(f"SELECT {shown} FROM episodes WHERE run_id = {{r:String}}", r=run_id)
    assert dict(zip(names, row, strict=True)) == {n: e[n] for n in names}
    rest = "missing, toUnixTimestamp64Micro(first_ts), toUnixTimestamp64Micro(last_ts), extras_sum"
    where = "kafka_topic_id, kafka_partition, kafka_offset"
    (row,) = store.rows(f"SELECT {rest}, {where} FROM episodes WHERE run_id = {{r:String}}", r=run_id)
    missing, first_ts, last_ts, extras, *position = row
    assert [tuple(m.values()) if isinstance(m, dict) else tuple(m) for m in missing] == [
        (0, 3), (5, 5), (2**50, 2**50 + 8),
    ]  # fmt: skip
    assert (first_ts, last_ts) == (e["first_ts"], e["last_ts"])
    assert extras["loss"] == 0.1
    assert math.isnan(extras["ü"])
    assert position == [TOPIC_ID, 0, 77]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324])
def test_a_return_of_any_float(store: Store, run_id: str, value: float) -> None:
    """A return that is no finite number comes back bit for bit, in the table and in the view."""
    put(store, finalised(run_id, return_=value))
    for name in ("episodes", "episodes_latest"):
        bits = store.one(f"SELECT reinterpretAsUInt64(`return`) FROM {name} WHERE run_id = {{r:String}}", r=run_id)
        assert bits == int(np.float64(value).view(np.uint64))


def test_every_reason(store: Store, run_id: str) -> None:
    """The four reasons are stored under their names."""
    reasons = ["terminated", "truncated", "abandoned", "interrupted"]
    put(store, *(finalised(run_id, episode=n, reason=reason) for n, reason in enumerate(reasons)))
    assert column(store, run_id, "reason", "episodes_latest") == reasons


def test_every_revision_is_kept_and_the_newest_shown(store: Store, run_id: str) -> None:
    """Revisions in any order, of two attempts and agents, months apart: all are in the table, one each in the view."""
    first, second = ATTEMPT, ATTEMPT + 1
    put(
        store,
        finalised(run_id, revision=1, length=8, last_ts=ATTEMPT + 40 * 86_400_000_000),
        finalised(run_id, revision=2, length=9),
        finalised(run_id, attempt=second, length=5),
    )
    put(store, finalised(run_id, revision=0, length=7), finalised(run_id, "agent-1", revision=0, length=4))
    assert store.one("SELECT count() FROM episodes WHERE run_id = {r:String}", r=run_id) == 5
    shown = store.rows(
        "SELECT agent_id, attempt, revision, length, id FROM episodes_latest WHERE run_id = {r:String} "
        "ORDER BY agent_id, attempt",
        r=run_id,
    )
    assert [row[:4] for row in shown] == [
        ("agent-0", first, 2, 9),
        ("agent-0", second, 0, 5),
        ("agent-1", first, 0, 4),
    ]
    assert len({row[4] for row in shown}) == 3


def test_a_filter_on_a_column_that_revisions_change_is_applied_after(store: Store, run_id: str) -> None:
    """An episode whose newest revision is complete is not shown as incomplete by an older one."""
    put(store, finalised(run_id, complete=False), finalised(run_id, revision=1))
    sql = "SELECT count() FROM episodes_latest WHERE run_id = {r:String} AND NOT complete"
    assert store.one(sql, r=run_id) == 0


def test_the_team_adds_up(store: Store, run_id: str) -> None:
    """Two agents over two envs: sum, mean, smallest and largest return, reasons, length, times, complete of all."""
    a, b = "agent-0", "agent-1"
    put(
        store,
        finalised(run_id, a, 0, return_=1.0, length=4, first_ts=10, last_ts=50),
        finalised(run_id, b, 0, return_=4.0, length=9, first_ts=5, last_ts=40, reason="truncated"),
        finalised(run_id, a, 0, env=1),
        finalised(run_id, b, 0, env=1, complete=False, missing_from=[3], missing_to=[3]),
        finalised(run_id, a, 1, env=1),
    )
    names = "agents, reasons, team_return, mean_return, min_return, max_return, length, complete"
    times = "toUnixTimestamp64Micro(first_ts), toUnixTimestamp64Micro(last_ts)"
    sql = f"SELECT env, episode, {names}, {times} FROM team_episodes WHERE run_id = {{r:String}} ORDER BY env, episode"
    first, second, third = store.rows(sql, r=run_id)
    assert first == (0, 0, 2, {"terminated": 1, "truncated": 1}, 5.0, 2.5, 1.0, 4.0, 9, True, 5, 50)
    assert second[:10] == (1, 0, 2, {"terminated": 2}, 18.0, 9.0, 9.0, 9.0, 9, False)
    assert third[:5] == (1, 1, 1, {"terminated": 1}, 9.0)


def test_the_team_has_the_newest_attempt_and_revision(store: Store, run_id: str) -> None:
    """An agent that was started again counts with its new life only, and each episode with its newest revision."""
    put(
        store,
        finalised(run_id, "agent-0", 0, return_=100.0),
        finalised(run_id, "agent-0", 1, return_=100.0),
        finalised(run_id, "agent-0", 0, attempt=ATTEMPT + 1, return_=1.0),
        finalised(run_id, "agent-1", 0, return_=7.0),
        finalised(run_id, "agent-1", 0, revision=1, return_=2.0),
        finalised(run_id, "agent-1", 1, return_=3.0),
    )
    assert column(store, run_id, "(agents, team_return)", "team_episodes") == [(2, 3.0), (1, 3.0)]
    filtered = "SELECT team_return FROM team_episodes WHERE run_id = {r:String} AND episode = 1"
    assert store.one(filtered, r=run_id) == 3.0, "the attempt is the agent's newest in the run, not in this episode"


def test_the_team_with_a_return_that_is_no_number(store: Store, run_id: str) -> None:
    """One NaN makes sum and mean NaN; smallest and largest are of the other agents."""
    put(store, finalised(run_id, "agent-0", return_=math.nan), finalised(run_id, "agent-1"))
    (row,) = column(store, run_id, "(team_return, mean_return, min_return, max_return)", "team_episodes")
    assert [math.isnan(v) for v in row] == [True, True, False, False]
    assert row[2:] == (9.0, 9.0)


def test_the_check_is_silent_where_steps_and_episodes_agree(store: Store, run_id: str, batch: Batch) -> None:
    """Two episodes of 9 steps, finalised as they are stored: the same, without a duplicate."""
    store.insert_steps([batch(20)])
    put(store, finalised(run_id, episode=0), finalised(run_id, episode=1))
    names = "(`return`, stored_return, length, stored_length, duplicate_rows, same)"
    assert column(store, run_id, names, "episode_check") == [(9.0, 9.0, 9, 9, 0, True)] * 2


def test_the_check_takes_the_rows_of_steps_only(store: Store, run_id: str, batch: Batch) -> None:
    """The reward and the row of a reset are in neither return nor length; an agent may also step without a reset."""
    rewards = np.array([math.nan, *[1.0] * 9, *[1.0] * 10])
    steps = np.array([*range(10), *range(1, 11)])
    store.insert_steps([batch(20, reward=rewards.astype("<f8").tobytes(), step=steps.astype("<i4").tobytes())])
    put(store, finalised(run_id, episode=0), finalised(run_id, episode=1, length=10, return_=10.0))
    assert column(store, run_id, "(stored_return, stored_length, same)", "episode_check") == [
        (9.0, 9, True),
        (10.0, 10, True),
    ]


def test_the_check_shows_what_differs(store: Store, run_id: str, batch: Batch) -> None:
    """A wrong return, a lost step, an episode without steps and a record stored twice each show."""
    store.insert_steps([batch(20), batch(10, 30), batch(10, 30)])
    put(
        store,
        finalised(run_id, episode=0, return_=8.999),
        finalised(run_id, episode=1, length=8, return_=8.0),
        finalised(run_id, episode=2),
        finalised(run_id, episode=3),
    )
    names = "(stored_return, stored_length, duplicate_rows, same)"
    assert column(store, run_id, names, "episode_check") == [
        (9.0, 9, 0, False),
        (9.0, 9, 0, False),
        (0.0, 0, 0, False),
        (18.0, 18, 10, False),
    ]


@pytest.mark.parametrize(
    ("rewards", "sent", "same"),
    [
        ([math.nan, 1.0], math.nan, True),
        ([math.nan, 1.0], 1.0, False),
        ([math.inf, 1.0], math.inf, True),
        ([math.inf, 1.0], -math.inf, False),
        ([math.inf, -math.inf], math.nan, True),
        ([1e16, 1.0, -1e16], 0.0, True),
        ([0.1, 0.2], 0.1 + 0.2 + 1e-15, True),
        ([0.1, 0.2], 0.3001, False),
    ],
    ids=str,
)
def test_the_check_forgives_rounding_only(
    store: Store, run_id: str, batch: Batch, rewards: list[float], sent: float, same: bool
) -> None:
    """Sums in another order are the same; NaN is the same as NaN, an infinity as itself, and nothing else."""
    rows = np.array([0.0, *rewards])
    store.insert_steps([batch(len(rows), reward=rows.astype("<f8").tobytes())])
    smallest, largest = float(np.min(rows[1:])), float(np.max(rows[1:]))
    put(
        store,
        finalised(run_id, length=len(rewards), min_reward=smallest, max_reward=largest, return_=sent),
    )
    assert column(store, run_id, "same", "episode_check") == [same]


def reads(node: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the indexes of every read of a table in a plan."""
    if node["Node Type"] == "ReadFromMergeTree":
        yield node["Indexes"]
    for below in node.get("Plans", []):
        yield from reads(below)


@pytest.fixture(scope="module")
def many(store: Store) -> Store:
    """Return a database with 40 runs of 4 agents and 500 episodes each, and as many steps."""
    numbers = (
        "SELECT intDiv(number, 2000) AS run, intDiv(number, 500) % 4 AS agent, number % 500 AS n FROM numbers(80000)"
    )
    keys = "concat('many-', toString(run)), concat('agent-', toString(agent)), 1"
    store.client.command(
        "INSERT INTO episodes (run_id, agent_id, attempt, env, episode, id, revision, reason) "
        f"SELECT {keys}, 0, n, toString(n), 0, 'terminated' FROM ({numbers})"
    )
    store.client.command(
        "INSERT INTO steps (run_id, agent_id, attempt, seq, env, episode, step) "
        f"SELECT {keys}, n, 0, n, 1 FROM ({numbers})"
    )
    return store


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "where", ["run_id = 'many-7'", "run_id IN ('many-7', 'many-8')", "startsWith(run_id, 'many-7')"]
)
def test_one_run_is_read_by_the_primary_key(many: Store, view: str, where: str) -> None:
    """A filter on the run goes through the view to the sorting key of every table below: few granules are read."""
    plan = json.loads(
        "".join(f for (f,) in many.rows(f"EXPLAIN json = 1, indexes = 1 SELECT * FROM {view} WHERE {where}"))
    )
    tables = list(reads(plan[0]["Plan"]))
    assert len(tables) == (2 if view == "episode_check" else 1)
    for indexes in tables:
        (key,) = [index for index in indexes if index["Type"] == "PrimaryKey"]
        assert key["Keys"] == ["run_id"]
        assert key["Selected Granules"] <= 3 < key["Initial Granules"]
