"""Since when a finding lasts, and when it is an alarm."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runbus.watchdog.alarms import Alarms, worst
from runbus.watchdog.findings import State, WatchFinding

STILL = WatchFinding("group a", "still", State.STALL, "stands", "look", hold_s=10.0)
BACK = WatchFinding("group b", "rewind", State.REWIND, "went back", "look", hold_s=0.0)
BEHIND = WatchFinding("group c", "behind", State.WARN, "falls behind", "more")


def test_a_finding_is_an_alarm_once_it_lasted_too_long() -> None:
    """It is said when it is found, when it becomes one, and when it is over."""
    alarms = Alarms()
    said = []
    for now in (0.0, 9.9, 10.0, 11.0):
        lasting, changes = alarms.look([STILL], now)
        said += [(now, change.word, change.alarms) for change in changes]
        assert [one.since_s for one in lasting] == [now]
    _, changes = alarms.look([], 12.0)
    said += [(12.0, change.word, change.alarms) for change in changes]
    assert said == [(0.0, "found", False), (10.0, "alarm", True), (12.0, "over", True)]


def test_what_comes_again_begins_again() -> None:
    """A gap ends it, and a new text does not."""
    alarms = Alarms()
    alarms.look([STILL], 0.0)
    assert alarms.look([replace(STILL, text="stands longer")], 9.0)[1] == []
    assert [change.word for change in alarms.look([replace(STILL, state=State.STOP)], 9.5)[1]] == ["found"]
    assert [change.alarms for change in alarms.look([], 9.6)[1]] == [False]
    assert not alarms.look([STILL], 20.0)[0][0].alarm


def test_some_are_alarms_at_once_and_some_never() -> None:
    """The alarms come first, then the worst."""
    lasting, changes = Alarms().look([BEHIND, STILL, BACK], 0.0)
    assert [(one.finding.subject, one.alarm) for one in lasting] == [
        ("group b", True),
        ("group a", False),
        ("group c", False),
    ]
    assert sorted(change.word for change in changes) == ["alarm", "found", "found"]
    assert worst([BEHIND, STILL]) is State.STALL
    assert worst([]) is State.OK


def test_a_finding_may_have_a_clock_of_its_own() -> None:
    """Silence does not grow while the log does not flow, however long it is found."""
    alarms = Alarms()
    assert not alarms.look([replace(STILL, since_s=3.0)], 0.0)[0][0].alarm
    assert not alarms.look([replace(STILL, since_s=3.0)], 600.0)[0][0].alarm
    assert alarms.look([replace(STILL, since_s=10.0)], 600.5)[0][0].alarm


@given(st.lists(st.lists(st.sampled_from((STILL, BACK, BEHIND)), unique=True, max_size=3), max_size=40))
def test_every_alarm_that_begins_also_ends(looks: list[list[WatchFinding]]) -> None:
    """What is told to others is a beginning and an end in turn, for each."""
    alarms, open_ = Alarms(), set[str]()
    for now, found in enumerate([*looks, []]):
        for change in alarms.look(found, float(now))[1]:
            subject = change.lasting.finding.subject
            if change.word == "alarm":
                assert subject not in open_
                open_.add(subject)
            elif change.word == "over" and change.alarms:
                open_.remove(subject)
    assert open_ == set()
