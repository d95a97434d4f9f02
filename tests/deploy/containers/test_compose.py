"""deploy/compose end to end: agents learn, every step is stored, also while each process is replaced, and kept."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest

from tests.deploy.containers.conftest import STEPS
from tests.deploy.containers.stack import Stack, until
from tests.deploy.monitoring.dashboards import queries
from tests.deploy.running import ok

pytestmark = pytest.mark.timeout(1500)

PROCESSES = ("sink", "episodes", "live-metrics", "watchdog", "dashboard")
AGENTS = ("agent-cartpole", "agent-pendulum")


def finished(stack: Stack) -> bool:
    """Tell whether both agents have ended well."""
    states = stack.states()
    return all(states[agent][0] == "exited" and states[agent][2] == 0 for agent in AGENTS)


def sound(stack: Stack, run: str) -> list[dict[str, Any]] | None:
    """Return the audit's rows once it finds nothing missing, doubled or on its way; None before."""
    code, rows = stack.audit(run)
    return rows if code == 0 and rows and not any(row["in_flight"] for row in rows) else None


def replace(stack: Stack, name: str, run: str) -> None:
    """Put a new container in the place of a service's while steps of a run go on being stored."""
    before = until(lambda: stack.steps(run), "steps are stored")
    until(lambda: stack.steps(run) > before, f"steps are stored before {name} goes")
    ok(stack.compose("up", "--detach", "--no-deps", "--force-recreate", "--wait", name))


def has_series(stack: Stack, expression: str) -> bool:
    """Tell whether Prometheus answers a query with a series."""
    return bool(stack.prometheus("query", query=expression)["result"])


def test_everything_is_up(stack: Stack) -> None:
    """`make compose-up` returned when each process was ready and each job had succeeded."""
    states = stack.states()
    for name in ("broker", "clickhouse", "registry", *PROCESSES, "prometheus"):
        assert states[name][:2] == ("running", "healthy"), name
    for name in ("topics", "schemas", "migrate"):
        assert states[name] == ("exited", "", 0), name


def test_every_step_of_the_agents_is_stored(stack: Stack) -> None:
    """The audit in a container finds each step that the agents made once in ClickHouse, and none missing."""
    until(lambda: finished(stack), "the agents end", 300)
    rows = until(lambda: sound(stack, "demo"), "a sound audit")
    assert rows is not None
    assert {row["agent_id"] for row in rows} == {"cartpole", "pendulum"}
    assert all(row["stored"] == row["produced"] >= STEPS for row in rows)


def test_every_target_of_prometheus_is_up(stack: Stack) -> None:
    """Prometheus finds each process by its name and gives it the label that rules and dashboards use."""

    def targets() -> dict[str, str]:
        return {t["labels"]["runbus_component"]: t["health"] for t in stack.prometheus("targets")["activeTargets"]}

    until(lambda: targets() == dict.fromkeys(PROCESSES, "up"), "three targets are up")
    assert {g["name"] for g in stack.prometheus("rules")["groups"]} >= {"runbus.loss", "runbus.stopped"}


def test_every_panel_of_operations_has_data(stack: Stack) -> None:
    """Prometheus answers each query of the dashboard, with a series, but for what never happened here."""
    quiet = {"Calls made again, by reason"}
    for query in queries("runbus-prometheus"):
        if query.panel not in quiet:
            until(partial(has_series, stack, query.promql), query.panel, 60)


def test_every_panel_of_agents_has_data(stack: Stack) -> None:
    """ClickHouse runs each statement of the dashboard, and finds rows, but for what never happened here."""
    quiet = {
        "Teams: return of an episode over its agents",
        "Episodes with missing steps",
        "Dead letters by error",
    }
    for query in queries("runbus-clickhouse"):
        rows = stack.rows(query.sql("demo"))
        assert rows or query.panel in quiet, query.panel


def test_each_process_is_replaced_under_load(stack: Stack) -> None:
    """A new container for each process and engine in turn, while agents write: nothing is lost, doubled or wrong."""
    run = f"roll-{uuid.uuid4().hex[:6]}"
    ok(stack.compose("up", "--detach", "--no-deps", *AGENTS, RUNBUS_RUN=run, RUNBUS_DEMO_STEPS="100000000"))
    for name in (*PROCESSES, "registry", "clickhouse", "broker", *PROCESSES):
        replace(stack, name, run)
    assert {stack.states()[agent][0] for agent in AGENTS} == {"running"}
    ok(stack.compose("stop", *AGENTS))
    rows = until(lambda: sound(stack, run), "a sound audit", 300)
    assert rows is not None
    assert all(row["stored"] == row["produced"] > 0 for row in rows)
    until(lambda: stack.rows(f"SELECT count() FROM episodes_latest WHERE run_id = '{run}'")[0][0] > 0, "episodes")
    assert stack.rows(f"SELECT countIf(NOT same) FROM episode_check WHERE run_id = '{run}'") == [(0,)]


def test_the_audit_sees_a_step_that_is_gone(stack: Stack) -> None:
    """One row deleted behind the sink's back is one missing step of that stream, and exit code 1."""
    stack.change("ALTER TABLE steps DELETE WHERE run_id = 'demo' AND agent_id = 'cartpole' AND seq = 100")
    code, rows = stack.audit("demo")
    assert code == 1
    assert {row["agent_id"]: row["missing"] for row in rows} == {"cartpole": 1, "pendulum": 0}


def test_down_keeps_the_data(stack: Stack) -> None:
    """After `make compose-down` and another `up` every step is still there; only `--volumes` takes it."""
    stored = stack.steps("demo")
    ok(stack.make("compose-down"))
    ok(stack.compose("up", "--detach", "--wait", "clickhouse"))
    assert stack.steps("demo") == stored > 0
    ok(stack.make("compose-down", "ARGS=--volumes"))
    volumes = ok(
        stack.engine.docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}")
    )
    assert volumes == ""
