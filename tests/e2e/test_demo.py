"""The README's first command, as a user meets it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import translated
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.config.sources import read_sources
from runbus.local.stack import Stack
from tests.e2e.command import Command, processes_of, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def _until(process: subprocess.Popen[str], text: str) -> str:
    """Read the output up to the line that contains `text` and return it all."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was not printed:\n{seen}")


@pytest.mark.long
def test_a_million_steps_of_four_learning_agents_are_stored_exactly_once(runbus: Command) -> None:
    """Four agents on real environments write over a million steps: none missing, none twice, and they did learn."""
    audit = runbus.json("demo", "--steps", "260000", "--agents", "4")
    total = audit["total"]
    assert total["produced"] == total["stored"] > 1_000_000
    assert (total["missing"], total["duplicates"], total["dropped"], total["in_flight"]) == (0, 0, 0, 0)
    assert len(audit["streams"]) == 4
    assert processes_of(runbus.home) == []
    _expect_learning(Command(runbus.home / "demo"))


def _expect_learning(stack: Command) -> None:
    """The data of the demo survives it: a new start answers whether the CartPole agents improved."""
    stack.json("up")
    rows = stack.json(
        "query",
        "SELECT run_id, agent_id, avgIf(return, episode < 50) AS early, avgIf(return, episode >= n - 50) AS late "
        "FROM (SELECT *, max(episode) OVER (PARTITION BY run_id, agent_id) AS n FROM episode_returns "
        "WHERE (terminated OR truncated) AND run_id LIKE 'demo-%') GROUP BY run_id, agent_id",
    )
    assert len(rows) == 4
    for row in rows:
        assert row["late"] > row["early"] + 20, row
    runs = stack.json("run", "ls")
    assert {run["outcome"] for run in runs} == {"completed"}


def test_ctrl_c_ends_the_agents_and_still_audits(runbus: Command) -> None:
    """Ctrl-C stops the agents, the audit table is printed, the exit code is 0 and no process is left."""
    demo = runbus.start("demo")
    _until(demo, "starting Kafka")  # not while agents learn: they take all of the machine
    second = runbus.run("demo")
    assert second.returncode == 1
    assert "a demo is running" in second.stderr
    assert "Traceback" not in second.stderr
    _until(demo, "first step visible by SQL")
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate(timeout=90)
    assert demo.returncode == 0, printed
    assert "every step is stored exactly once" in printed
    assert "Traceback" not in printed
    assert processes_of(runbus.home) == []


@pytest.mark.long  # short: tests/integration/test_local_stack.py, its supervisor killed
def test_a_killed_demo_leaves_no_process(runbus: Command) -> None:
    """SIGKILL of the demo takes broker, engine, sink, supervisor and agents with it."""
    demo = runbus.start("demo")
    _until(demo, "first step visible by SQL")
    assert len(processes_of(runbus.home)) >= 6
    demo.kill()
    demo.communicate(timeout=30)
    wait_for(lambda: processes_of(runbus.home) == [], "every process of the demo is gone", 30)


def test_a_home_that_is_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    """A home that cannot be used is told in one line that names it, without a traceback."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = Command(blocked).run("demo", "--seconds", "1")
    assert done.returncode == 1
    assert str(blocked) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_the_sink_killed_five_times_loses_nothing(runbus: Command) -> None:
    """Five SIGKILLs of the sink while four agents write over a million steps: none missing, none twice."""
    demo = runbus.start("demo", "--agents", "4", "--json")
    stack = Stack(runbus.home / "demo")
    wait_for(lambda: stack.supervisor.is_running() and _stored(stack) > 0, "the first steps are stored", 90)
    killed: set[int] = set()
    moments = random.Random(7)
    for number in range(5):
        wait_for(lambda: _sink(stack) not in {0, *killed}, "the sink runs again")
        if number % 2 == 0:
            before = _stored(stack)
            wait_for(lambda: _stored(stack) > before, "it stores again", 90)  # noqa: B023 - called in this round only
        time.sleep(moments.uniform(0, 3))  # at any moment: while it starts, joins, replays or stores
        pid = _sink(stack)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    wait_for(lambda: _stored(stack) > 1_000_000, "a million steps are stored", 120)
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate(timeout=180)
    assert demo.returncode == 0, printed
    total = json.loads(printed[printed.index("{") :])["total"]
    assert total["produced"] == total["stored"] > 1_000_000
    assert (total["missing"], total["duplicates"]) == (0, 0)
    assert len(killed) == 5


def _sink(stack: Stack) -> int:
    """Return the pid of the running sink, 0 if there is none."""
    process = stack.supervisor.processes().get("sink")
    return process.pid if process is not None and process.alive else 0


def _stored(stack: Stack) -> int:
    """Return how many steps are stored, 0 while the engine does not answer."""
    try:
        settings = ClickHouseSettings.load(read_sources(environ={"RUNBUS_CONFIG": str(stack.config_file)}))
        client = connect(settings)
    except RunBusError:
        return 0
    try:
        with translated():
            return int(client.query("SELECT count() FROM steps").result_rows[0][0])
    except RunBusError:
        return 0
    finally:
        client.close()
