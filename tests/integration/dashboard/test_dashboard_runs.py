"""The list of runs, asked of the real engine."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from runbus.clickhouse.tables import ANNOTATIONS, EPISODES, RUNS
from runbus.dashboard.history.filter import read
from runbus.dashboard.history.statements import written_out
from runbus.schemas.events import Annotation
from tests.integration.clickhouse.conftest import Store, body
from tests.integration.clickhouse.test_clickhouse_episodes import finalised
from tests.integration.dashboard.conftest import Page

pytestmark = pytest.mark.integration

CASES: dict[str, Any] = json.loads((Path(__file__).parents[2] / "page" / "filter_cases.json").read_text())
ATTEMPT = 1_790_000_000_000_000


def started(run: str, number: int, **fields: Any) -> dict[str, Any]:
    """Return a RunEvent: the start of a stream."""
    return {
        "run_id": run, "agent_id": "agent-0", "attempt": ATTEMPT + number, "kind": "STARTED",
        "sent_at": ATTEMPT + number, "started_at": ATTEMPT + number, "config": "{}", "observation_space": "",
        "action_space": "", "produced": 0, "dropped": 0, "episodes": 0, "outcome": "", "error": "", "summary": "",
        "host": "h", "pid": 1, "version": "1", "labels": {}, "tags": [], "parent": "", "parent_seq": -1,
        "logged": {}, "commands": "[]",
    } | fields  # fmt: skip


@pytest.fixture(scope="module")
def runs(store: Store) -> list[str]:
    """Return 25 runs, the oldest first: every other one failed, the others run; each but the last has an episode."""
    events, names = [], [f"list-{n:02}" for n in range(25)]
    for n, run in enumerate(names):
        config = json.dumps({"lr": 10.0**-n, "algo": "ppo" if n % 3 else "dqn"})
        events.append(started(run, n, config=config, labels={"team": "red" if n < 5 else "blue"}))
        if n % 2:
            end = {"kind": "FINISHED", "sent_at": ATTEMPT + n + 60_000_000, "outcome": "failed", "produced": n}
            events.append(events[-1] | end)
    store.insert(RUNS, [body("RunEvent", event) for event in events])
    more = {"labels": {}, "stop": "", "has_reset": True}
    over = [finalised(run, return_=float(n % 7)) | more for n, run in enumerate(names[:-1])]
    store.insert(EPISODES, [body("EpisodeFinalized", e) for e in over])
    return names


@pytest.mark.parametrize("sort", ["started_at", "run", "mean_return", "state", "config.lr", "team", "nothing"])
@pytest.mark.parametrize("descending", [True, False])
def test_pages_have_every_run_once_in_order(page: Page, runs: list[str], sort: str, descending: bool) -> None:
    """By keyset, whatever they are sorted by."""
    found: list[str] = []
    after = ""
    while True:
        answer = page.get("/runs", q="/^list-/", sort=sort, descending=descending, most=7, after=after)
        found += answer["columns"]["run"]
        if not (after := answer["next"]):
            break
    assert sorted(found) == runs
    if sort in ("started_at", "run"):
        assert found == sorted(runs, reverse=descending)
    if sort == "config.lr":
        assert found == sorted(runs, reverse=not descending)


def test_tags_and_pins_that_people_put_on_a_run_are_its_own(page: Page, runs: list[str], store: Store) -> None:
    """Those that hold, in the order in which they were put; what is on an agent of it is none of the run."""
    said: list[dict[str, Any]] = [
        {"run_id": runs[3], "kind": "tag", "name": "later", "sent_at": 20},
        {"run_id": runs[3], "kind": "tag", "name": "first", "sent_at": 10},
        {"run_id": runs[3], "kind": "pin", "sent_at": 10},
        {"run_id": runs[3], "kind": "tag", "name": "gone", "sent_at": 10, "removed": True},
        {"run_id": runs[3], "kind": "tag", "name": "of-an-agent", "agent_id": "agent-0", "sent_at": 10},
    ]
    store.insert(ANNOTATIONS, [Annotation(**fields).encode() for fields in said])
    columns = page.get("/runs", q="tag:first")["columns"]
    assert (columns["run"], columns["tags"], columns["pinned"]) == ([runs[3]], [["first", "later"]], [True])
    assert page.get("/runs", q="list- -tag:*", most=100)["rows"] == len(runs) - 1
    assert page.get("/run", run=runs[3])["run"]["tags"] == ["first", "later"]


def test_a_row_says_what_the_run_is(page: Page, runs: list[str]) -> None:
    """State by the rule of run_summary; a run without an episode has no mean return."""
    answer = page.get("/runs", q="list-2", sort="run", descending=False)
    columns = answer["columns"]
    assert columns["run"] == runs[20:]
    assert columns["state"] == ["running", "failed", "running", "failed", "running"]
    assert columns["mean_return"] == [6.0, 0.0, 1.0, 2.0, None]
    assert columns["labels"] == [{"team": "blue"}] * 5
    assert answer["not_finite"] == 1


def test_a_filter_on_what_has_to_be_looked_up(page: Page, runs: list[str]) -> None:
    """A mean return, a configuration and a state at once."""
    answer = page.get("/runs", q="return>=5 lr<1e-4 outcome:failed", sort="run", descending=False)
    kept = [n for n in range(24) if n % 7 >= 5 and n > 4 and n % 2]
    assert answer["columns"]["run"] == [runs[n] for n in kept]


def test_a_bad_filter_is_the_askers_fault(page: Page, runs: list[str]) -> None:
    """400 with the clause; also where only ClickHouse finds that it is no regular expression."""
    for q, clause in (("walk lr>=", "lr>="), ("/(?=x)/", "")):
        answer = page.raw("/runs", q=q)
        assert answer.status_code == 400
        assert clause in answer.json()["error"]


def test_the_filter_keeps_what_the_pages_filter_keeps(store: Store) -> None:
    """All cases of page/filter_cases.json in one question."""
    rows = " UNION ALL ".join(f"SELECT {number} AS row, {_row(row)}" for number, row in enumerate(CASES["rows"]))
    conditions = [read(case["q"]) for case in CASES["kept"]]
    kept = ", ".join(f"({written_out(c.sql, c.parameters)}) AS c{n}" for n, c in enumerate(conditions))
    found = store.rows(f"SELECT row, {kept} FROM ({rows}) ORDER BY row")
    for n, case in enumerate(CASES["kept"]):
        assert [row[0] for row in found if row[n + 1]] == case["rows"], case["q"]


def _row(row: dict[str, Any]) -> str:
    mean = math.nan if row["mean_return"] is None else float(row["mean_return"])
    values = {
        "run": row["run"], "state": row["state"], "agents": row["agents"], "steps": row["steps"],
        "dropped": row["dropped"], "started_at": row["started_at"], "config": json.dumps(row["config"]),
    }  # fmt: skip
    plain = ", ".join(f"{_literal(value)} AS {name}" for name, value in values.items())
    labels = ", ".join(f"{_literal(k)}, {_literal(v)}" for k, v in row["labels"].items())
    tags = ", ".join(map(_literal, row["tags"]))
    return (
        f"{plain}, CAST(map({labels}) AS Map(String, String)) AS labels, CAST([{tags}] AS Array(String)) AS tags,"
        f" toFloat64({'nan' if math.isnan(mean) else mean}) AS mean_return"
    )


def _literal(value: object) -> str:
    return written_out("{v:String}" if isinstance(value, str) else "{v:Int64}", {"v": value})
