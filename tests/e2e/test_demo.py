"""The README's first command, as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import Command, processes_of, wait_for

pytestmark = pytest.mark.integration


def _until(process: subprocess.Popen[str], text: str) -> str:
    """Read the output up to the line that contains `text` and return it all."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was not printed:\n{seen}")


def test_a_million_steps_of_four_learning_agents_are_stored_exactly_once(runbus: Command) -> None:
    """Four agents on real environments write over a million steps: none missing, none twice, and they did learn."""
    audit = runbus.json("demo", "--steps", "260000", "--agents", "4", "--no-browser")
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
        "WHERE terminated OR truncated) GROUP BY run_id, agent_id",
    )
    assert len(rows) == 4
    for row in rows:
        assert row["late"] > row["early"] + 20, row
    runs = stack.json("run", "ls")
    assert {run["outcome"] for run in runs} == {"completed"}


def test_ctrl_c_ends_the_agents_and_still_audits(runbus: Command) -> None:
    """Ctrl-C stops the agents, the audit table is printed, the exit code is 0 and no process is left."""
    demo = runbus.start("demo", "--no-browser")
    _until(demo, "first step visible by SQL")
    second = runbus.run("demo", "--no-browser")
    assert second.returncode == 1
    assert "a demo is running" in second.stderr
    assert "Traceback" not in second.stderr
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate(timeout=90)
    assert demo.returncode == 0, printed
    assert "every step is stored exactly once" in printed
    assert "Traceback" not in printed
    assert processes_of(runbus.home) == []


def test_a_killed_demo_leaves_no_process(runbus: Command) -> None:
    """SIGKILL of the demo takes broker, engine, sink, supervisor and agents with it."""
    demo = runbus.start("demo", "--no-browser")
    _until(demo, "first step visible by SQL")
    assert len(processes_of(runbus.home)) >= 6
    demo.kill()
    demo.communicate(timeout=30)
    wait_for(lambda: processes_of(runbus.home) == [], "every process of the demo is gone", 30)


def test_a_home_that_is_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    """A home that cannot be used is told in one line that names it, without a traceback."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = Command(blocked).run("demo", "--seconds", "1", "--no-browser")
    assert done.returncode == 1
    assert str(blocked) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sink_killed_five_times_loses_nothing(runbus: Command) -> None:
    """Five SIGKILLs of the sink while four agents write over a million steps: none missing, none twice."""
    demo = runbus.start("demo", "--steps", "260000", "--agents", "4", "--no-browser", "--json")
    stack = Command(runbus.home / "demo")
    killed: set[int] = set()
    stored = 0
    for _ in range(5):
        stored = _wait_for_more(stack, stored)
        pid = _sink_pid(stack, killed)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    printed, _ = demo.communicate(timeout=180)
    assert demo.returncode == 0, printed
    total = json.loads(printed[printed.index("{") :])["total"]
    assert total["produced"] == total["stored"] > 1_000_000
    assert (total["missing"], total["duplicates"]) == (0, 0)
    assert len(killed) == 5


def _wait_for_more(stack: Command, before: int) -> int:
    """Return how many steps are stored, once there are more than before."""
    counts: list[int] = []

    def more() -> bool:
        done = stack.run("query", "SELECT count() AS n FROM steps", "--json")
        counts.append(json.loads(done.stdout)[0]["n"] if done.returncode == 0 else 0)
        return counts[-1] > before

    wait_for(more, f"more than {before} steps are stored", 90)
    return counts[-1]


def _sink_pid(stack: Command, killed: set[int]) -> int:
    """Return the pid of a running sink that was not killed yet."""
    pids: list[int] = []

    def running() -> bool:
        done = stack.run("status", "--json")
        processes = json.loads(done.stdout)["processes"] if done.stdout else []
        pids[:] = [p["pid"] for p in processes if p["process"] == "sink" and p["pid"] and p["pid"] not in killed]
        return bool(pids)

    wait_for(running, "the sink runs again")
    return pids[0]
