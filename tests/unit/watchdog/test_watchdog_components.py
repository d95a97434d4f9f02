"""Heartbeats: who is silent, who only ended, and when nothing can be said."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from runbus.schemas.events import Heartbeat, RunEvent
from runbus.watchdog.components import Components
from runbus.watchdog.findings import State, WatchFinding

OWN = "watchdog-here"
STREAM = "run/agent/5"


@dataclass
class Log:
    """A log of heartbeats, and a clock that goes forward beat by beat."""

    components: Components = field(default_factory=lambda: Components(OWN))
    now: float = 100.0

    def beat(self, name: str, kind: str = "sink", dropped: int = 0, started: int = 1, **detail: object) -> None:
        """Let a component send a heartbeat now."""
        beat = Heartbeat(
            component_id=name,
            kind=kind,
            sent_at=int(self.now * 1e6),
            started_at=started,
            version="1",
            dropped_events=dropped,
            committed={"steps:0": 1} if kind == "sink" else {},
            detail=json.dumps(detail),
        )
        self.components.beat(beat, self.now)

    def own(self) -> None:
        """Let the watchdog's own heartbeat come back."""
        self.beat(OWN, "watchdog")

    def second(self, *names: str, own: bool = True) -> list[WatchFinding]:
        """Let a second pass in which the named ones beat, and look at its end."""
        for _ in range(4):
            self.now += 0.25
            self.components.look(self.now)
        for name in names:
            self.beat(name)
        if own:
            self.own()
        return self.components.look(self.now)


@pytest.fixture
def log() -> Log:
    """Return a log that flows."""
    made = Log()
    made.own()
    return made


def test_who_beats_is_well(log: Log) -> None:
    """And is counted, by kind."""
    log.beat("a")
    assert [finding for _ in range(20) for finding in log.second("a")] == []
    assert log.components.counts() == {"sink": 1}
    assert log.components.lives("sink", "steps:0") is True


def test_who_falls_silent_is_found_and_returns(log: Log) -> None:
    """After two heartbeats that did not come; how long the silence lasts decides about the alarm."""
    log.beat("a")
    assert log.second() == []
    assert log.second() == []
    (found,) = log.second()
    assert (found.subject, found.what, found.state) == ("a", "silent", State.STOP)
    assert found.since_s == pytest.approx(3.0)
    assert log.components.lives("sink", "steps:0") is False
    assert log.components.counts() == {}
    assert log.second("a") == []


def test_who_said_that_it_stops_is_not_missed(log: Log) -> None:
    """It is forgotten; nobody knows then who has its partitions."""
    log.beat("a", stopping=True)
    assert [finding for _ in range(5) for finding in log.second()] == []
    assert log.components.lives("sink", "steps:0") is None


def test_a_log_that_does_not_flow_makes_nobody_silent(log: Log) -> None:
    """A broker that is away for an hour, or a watchdog that was stopped, says nothing about the others."""
    log.beat("a")
    for _ in range(60):
        assert log.second(own=False) == []
    log.now += 3600
    assert log.components.look(log.now) == []
    assert log.second("a") == []


def test_what_stops_with_the_log_is_not_silent(log: Log) -> None:
    """The last own heartbeat was a little later than the last one of another: the log ceased to flow, nobody else."""
    log.beat("a")
    log.now += 0.9
    log.own()
    for _ in range(10):
        assert log.second(own=False) == []


def test_who_was_killed_is_forgotten_once_it_is_replaced(log: Log) -> None:
    """By one of its kind that began later."""
    log.beat("a")
    for _ in range(4):
        log.second()
    assert log.second()
    log.beat("b", started=int(log.now * 1e6))
    assert log.second("b") == []


def test_a_recorder_is_lost_if_a_stream_of_it_has_no_end(log: Log) -> None:
    """Not if the log has the end of each: its process has ended, as it should."""
    log.beat("r", "recorder", streams={STREAM: {}})
    for _ in range(3):
        found = log.second()
    assert found[0].subject == "r"
    assert STREAM in found[0].text
    run, agent, attempt = STREAM.split("/")
    end = RunEvent(run_id=run, agent_id=agent, attempt=int(attempt), kind="FINISHED", sent_at=1, started_at=1)
    log.components.finished(end)
    assert log.second() == []


def test_an_agent_that_records_again_is_not_missed(log: Log) -> None:
    """Its process was killed, and the next one goes on: what it left is in the tables."""
    log.beat("r", "recorder", streams={STREAM: {}, "run/other/5": {}})
    for _ in range(3):
        log.second()
    begin = RunEvent(run_id="run", agent_id="agent", attempt=6, kind="STARTED", sent_at=1, started_at=1)
    log.components.started(begin)
    (found,) = log.second()
    assert STREAM not in found.text
    assert "run/other/5" in found.text


def test_an_end_that_comes_before_the_last_heartbeat_is_remembered(log: Log) -> None:
    """The two topics are not read in one order."""
    log.components.finished(
        RunEvent(run_id="run", agent_id="agent", attempt=5, kind="FINISHED", sent_at=1, started_at=1)
    )
    log.beat("r", "recorder", streams={STREAM: {}})
    assert [finding for _ in range(5) for finding in log.second()] == []


def test_silence_is_history_after_ten_minutes(log: Log) -> None:
    """The tables have it."""
    log.beat("a")
    for _ in range(590):
        log.second()
    assert log.second()
    for _ in range(15):
        log.second()
    assert log.second() == []


def test_new_drops_are_said_for_a_while(log: Log) -> None:
    """They are no alarm: a queue that overflows drops by the policy that was chosen."""
    log.beat("a", dropped=3)
    assert log.second("a") == []  # from before
    log.beat("a", dropped=4)
    (found,) = log.second()
    assert (found.what, found.state, found.hold_s) == ("drops", State.WARN, None)


def test_what_processes_say_that_keeps_them(log: Log) -> None:
    """For the finding about their group; a detail that is no object says nothing."""
    log.beat("a", paused={"steps:0": "capacity: disk full"})
    assert log.components.says("sink") == ["steps:0 is paused: capacity: disk full"]
    assert log.components.says("episodes") == []
    log.components.beat(
        Heartbeat(component_id="b", kind="sink", sent_at=1, started_at=1, version="", detail="[1]"), log.now
    )
    assert log.components.counts() == {"sink": 2}
