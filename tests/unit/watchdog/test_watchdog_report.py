"""What a watchdog says, as JSON and as `runbus watch` shows it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from runbus.cli.watch import _print, _Shown
from runbus.watchdog.alarms import Lasting
from runbus.watchdog.findings import State, WatchFinding
from runbus.watchdog.groups import GroupView
from runbus.watchdog.report import Report
from runbus.watchdog.round_trips import RoundTrips

FINDING = WatchFinding("group runbus.sink", "still", State.STALL, "lives and does not move", "look at it", 10.0)
VIEW = GroupView("runbus.sink", "sink", State.STALL, "stable", 1, 14, 14, 1234, 5678)


def report(*findings: Lasting) -> Report:
    """Return a report with these findings."""
    trips = RoundTrips()
    trips.send(0.0)
    trips.came_back("live-metrics", 1, 0.05)
    return Report(findings, (VIEW,), trips.trips(1.0), {"sink": 1}, "runbus-canary/watchdog-1")


def document(*findings: Lasting) -> dict[str, object]:
    """Return what the command gets."""
    return {"watchdog": "watchdog-1", "age_ms": 120, **json.loads(json.dumps(report(*findings).as_json()))}


def test_a_report_is_json() -> None:
    """States by name, times in whole milliseconds, what did not happen yet as null."""
    found = report(Lasting(FINDING, 12.3456, alarm=True)).as_json()
    assert (found["state"], found["alarms"], found["processes"]) == ("STALL", 1, {"sink": 1})
    assert found["groups"][0]["state"] == "STALL"
    assert found["canary"]["ways"][:2] == [
        {"way": "live-metrics", "latency_ms": 50, "waiting_ms": 0, "came_back": 1},
        {"way": "episodes", "latency_ms": None, "waiting_ms": 1000, "came_back": 0},
    ]
    assert (found["findings"][0]["since_ms"], found["findings"][0]["alarm"]) == (12346, True)
    assert Report().as_json()["state"] == "OK"


def test_a_heartbeat_stays_small() -> None:
    """However much is wrong: the worst come first, and the rest is counted."""
    many = [Lasting(replace(FINDING, subject=f"group {n}", text="x" * 9999), 1.0, alarm=False) for n in range(500)]
    found = Report(tuple(many), tuple([VIEW] * 500)).as_json()
    assert (len(found["findings"]), found["more_findings"]) == (30, 470)
    assert (len(found["groups"]), found["more_groups"]) == (30, 470)
    assert len(json.dumps(found)) < 40_000


def test_the_table_says_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Groups, canary, processes, and what to do."""
    _print(document(Lasting(FINDING, 12.0, alarm=True)), as_json=False)
    said = capsys.readouterr().out
    assert said.startswith("STALL, 1 alarm; says watchdog-1, 0.1 s ago\n")
    for text in ("14/14", "1,234", "5,678", "live-metrics", "look at it", "lives and does not move"):
        assert text in said


def test_following_says_what_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """First the table, then a line when a finding comes, becomes an alarm, and is over; nothing in between."""
    shown = _Shown(as_json=False)
    shown.follow(document())
    assert "STATUS" in capsys.readouterr().out
    said = []
    found, alarm = Lasting(FINDING, 1.0, alarm=False), Lasting(FINDING, 11.0, alarm=True)
    for now in ((found,), (found,), (alarm,), (alarm,), (), ()):
        shown.follow(document(*now))
        said.append(capsys.readouterr().out[9:])
    text = "group runbus.sink lives and does not move; look at it\n"
    assert said == [f"STALL {text}", "", f"STALL ALARM {text}", "", "over: group runbus.sink: still, after 11 s\n", ""]


def test_following_as_json_is_a_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts."""
    shown = _Shown(as_json=True)
    shown.follow(document())
    shown.follow(document())
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["watchdog"] for line in lines] == ["watchdog-1"] * 2
