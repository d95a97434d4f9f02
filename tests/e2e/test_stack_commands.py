"""`up`, `status`, `doctor`, `down` and the read commands on one real stack."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.e2e.command import Command, processes_of, wait_for

pytestmark = pytest.mark.integration


def test_a_stack_through_its_life(runbus: Command) -> None:
    """up is repeatable, status and doctor tell the truth, every read command answers, down stops all and keeps data."""
    first = runbus.json("up")
    assert not first["already_running"]
    again = runbus.json("up")
    assert again["already_running"]
    assert again["kafka"] == first["kafka"]

    status = runbus.json("status")
    assert {p["process"]: p["state"] for p in status["processes"]} == dict.fromkeys(
        ("kafka", "clickhouse", "sink", "episodes", "live-metrics", "watchdog", "dashboard"), "RUNNING"
    )
    wait_for(lambda: runbus.run("doctor").returncode == 0, "the doctor finds everything well")
    assert {t["partitions"] for t in runbus.json("topics", "list")} == {1, 4}
    assert all(c["change"] == "unchanged" for c in runbus.json("topics", "apply", "--partitions", "4"))
    assert runbus.json("migrate") == []
    assert runbus.json("run", "ls") == []
    assert {stream["run_id"] for stream in runbus.json("audit")["streams"]} <= {"runbus-canary"}
    assert runbus.json("query", "SELECT 1 AS one") == [{"one": 1}]
    _refusals(runbus)

    assert runbus.run("down").returncode == 0
    assert processes_of(runbus.home) == []
    assert runbus.run("status").returncode == 1
    assert "no stack runs" in runbus.run("down").stdout


def _refusals(runbus: Command) -> None:
    """What the commands refuse is one line on standard error, and the exit code says whose mistake it is."""
    for arguments, code, text in (
        (("query", "DROP TABLE steps"), 1, "readonly"),
        (("query", "SELECT nonsense FROM steps"), 1, "nonsense"),
        (("run", "show", "nobody"), 1, "no run 'nobody'"),
        (("topics", "apply", "--partitions", "7"), 1, "--partitions 4"),
        (("--kafka-bootstrap-servers", "nonsense", "topics", "list"), 2, "host:port"),
        (("--clickhouse-url", "http://127.0.0.1:1", "run", "ls"), 1, "127.0.0.1:1"),
        (("--kafka-bootstrap-servers", "127.0.0.1:1", "topics", "list"), 1, "127.0.0.1:1"),
        (("schema", "push"), 2, "SCHEMA_REGISTRY_URL"),
        (("topics", "apply", "--partitions", "many"), 2, "integer"),
    ):
        done = runbus.run(*arguments)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert text.lower() in done.stderr.lower(), (arguments, done.stderr)
        assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_crashed_process_is_started_again(runbus: Command) -> None:
    """SIGKILL of every process: all are back, under new pids, and the stack is well again."""
    runbus.json("up")
    before = _pids(runbus)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: runbus.run("status").returncode == 0 and not set(before.values()) & set(_pids(runbus).values()),
        "every process runs again",
        90,
    )
    assert runbus.json("query", "SELECT count() AS n FROM steps WHERE run_id != 'runbus-canary'") == [{"n": 0}]


def _pids(runbus: Command) -> dict[str, int]:
    done = runbus.run("status", "--json")
    return {p["process"]: p["pid"] for p in json.loads(done.stdout)["processes"]}
