"""`runbus watch` on a running stack: all is well, a process is stopped, it goes on."""

from __future__ import annotations

import json
import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from tests.integration.watchdog.installation import Installation
from tests.integration.watchdog.reports import Document, Reports, findings, state_of
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]
PAGE = (Path(__file__).parents[3] / "docs" / "watch.md").read_text(encoding="utf-8")


def test_a_stack_that_is_well(running: Installation, said: Reports) -> None:
    """Every group keeps up, and the canary comes back on all its ways; it is stored, and no run that a person began."""
    said.until(
        "the canary came back by all ways",
        lambda document: all(way["latency_ms"] is not None for way in document["canary"]["ways"]),
    )
    seen: list[Document] = []

    def is_well() -> bool:
        seen.append(running.command.json("watch"))
        return (seen[-1]["state"], seen[-1]["alarms"], seen[-1]["findings"]) == ("OK", 0, [])

    until("the command says that all is well", is_well)  # what a busy machine holds up is shown, too, for a moment
    document = seen[-1]
    assert {(group["kind"], group["state"], group["owned"]) for group in document["groups"]} == {
        ("sink", "OK", 19),
        ("episodes", "OK", 4),
        ("live-metrics", "OK", 4),
    }
    assert {way["way"] for way in document["canary"]["ways"] if way["came_back"]} == {
        "live-metrics",
        "episodes",
        "sink",
    }
    assert document["processes"] == {"dashboard": 1, "episodes": 1, "live-metrics": 1, "recorder": 1, "sink": 1}
    until("so says the table", lambda: running.command.run("watch").stdout.startswith("OK, 0 alarms"))
    until(
        "what it says is stored",
        lambda: bool(
            running.command.json("query", "SELECT 1 FROM heartbeats WHERE kind = 'watchdog' AND detail LIKE '%canary%'")
        ),
    )
    assert running.command.json("run", "ls") == []
    assert [run["run_id"] for run in running.command.json("run", "ls", "--all")] == ["runbus-canary"]


def test_the_examples_of_the_page(running: Installation, said: Reports) -> None:
    """Each line of docs/watch.md ends with 0 while all is well, and says something."""
    assert said.seen
    (example,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in example.splitlines():
        program, *words = shlex.split(line)
        assert program == "runbus"
        until(line, partial(_says_it, running, words))


def _says_it(running: Installation, words: list[str]) -> bool:
    """Return whether a command ends with 0, and says something."""
    done = running.command.run(*words)
    return done.returncode == 0 and bool(done.stdout)


def test_a_process_that_is_stopped_and_goes_on(running: Installation, said: Reports) -> None:
    """It is said, it becomes an alarm and the exit code, and all of it is over once the process goes on."""
    with running.stopped("episodes"):
        said.until("it is silent", lambda document: state_of(document, "episodes-local") == "STOP")
        said.until(
            "its group stands still",
            lambda document: ("group runbus.episodes", "still") in findings(document),
        )
        said.until("it is an alarm", lambda document: document["alarms"] > 0)
        alarmed = running.command.run("watch", "--json")
        assert alarmed.returncode == 1
        silent = findings(json.loads(alarmed.stdout))["episodes-local", "silent"]
        assert (silent["state"], silent["alarm"]) == ("STOP", True)
    said.until("it is over", lambda document: document["state"] == "OK")
    until("the exit code is 0 again", lambda: running.command.run("watch").returncode == 0)
