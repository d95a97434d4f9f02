"""A stream belongs to one process and one recorder: forks and copies have their own, what is forgotten is ended."""

import copy
import gc
import logging
import os
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.process import PROCESS
from runbus.recorder.recording import FORGOTTEN

NOBODY = KafkaSettings("127.0.0.1:1")


def in_children(count: int, work: Callable[[], object]) -> list[str]:
    """Return what `work` returns in each of `count` forked children."""
    found = []
    for _ in range(count):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, repr(work()).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            found.append(answer.read())
        os.waitpid(child, 0)
    return found


def unused() -> Recorder:
    """Return a recorder that was only made."""
    return Recorder("run-1", kafka=False)


def asked() -> Recorder:
    """Return one whose attempt was looked at."""
    recorder = unused()
    assert recorder.attempt
    return recorder


def used() -> Recorder:
    """Return one that has recorded."""
    recorder = unused()
    recorder.reset(0.0)
    return recorder


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("make", [unused, asked, used])
def test_each_forked_process_is_an_attempt_of_its_own(make: Callable[[], Recorder]) -> None:
    """However far the recorder was when it was forked: no two processes number the rows of one stream."""
    recorder = make()

    def record() -> tuple[int, object]:
        recorder.reset(0.0)
        recorder.step(0, 1.0, True, False, 0.0)
        return recorder.attempt, recorder.stats()["produced"]

    rows = [*map(eval, in_children(3, record)), record()]
    assert len({attempt for attempt, _ in rows}) == 4
    assert [produced for _, produced in rows] == [2, 2, 2, 3 if make is used else 2]
    recorder.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_keeps_the_bus_that_was_given() -> None:
    """Its own readers see what it records."""
    bus = RunBus()
    recorder = Recorder("run-1", bus=bus, kafka=False)
    recorder.reset(0.0)

    def record() -> int:
        seen = bus.subscribe("child")
        recorder.reset(0.0)
        recorder.close()
        return len(seen.get_many(10))

    assert in_children(1, record) == ["3"]
    recorder.close()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_keeps_its_bus_and_settings(copied: Callable[[Recorder], Recorder]) -> None:
    """It is in the same process, so what it was given still works."""
    bus = RunBus()
    recorder = Recorder("run-1", bus=bus, settings=NOBODY)
    assert copied(recorder).bus is bus
    assert copied(Recorder("run-1", settings=NOBODY)).bus is Recorder("run-1", settings=NOBODY).bus


def test_a_pickled_recorder_keeps_its_settings_and_says_that_the_bus_stays(caplog: pytest.LogCaptureFixture) -> None:
    """A bus is a thing of its process."""
    other = pickle.loads(pickle.dumps(Recorder("run-1", bus=RunBus(), settings=NOBODY)))
    assert other.bus is Recorder("run-1", settings=NOBODY).bus
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said.startswith("a copy of the recorder of run-1/agent-0 publishes on this process's own bus")
    caplog.clear()
    pickle.loads(pickle.dumps(Recorder("run-1", settings=NOBODY)))
    assert not caplog.records


def rows_of(events: list[Any]) -> int:
    """Return how many rows some events of a bus hold."""
    return sum(event.count for event in events if isinstance(event, StepsRecorded))


class Environment:
    """Something that holds a recorder, as an environment does."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder


def alone(recorder: Recorder) -> weakref.ref[Environment]:
    """Return an environment that nothing else refers to."""
    return weakref.ref(Environment(recorder))


def in_a_circle(recorder: Recorder) -> weakref.ref[Environment]:
    """Return one that refers to itself: only the garbage collector finds it."""
    environment = Environment(recorder)
    environment.self = environment  # type: ignore[attr-defined]
    return weakref.ref(environment)


@pytest.mark.parametrize("forgotten", [alone, in_a_circle])
def test_what_is_forgotten_is_delivered_and_ended(forgotten: Callable[[Recorder], weakref.ref[Environment]]) -> None:
    """Nothing keeps the environment alive, and its stream is whole and interrupted, without a close()."""
    bus = RunBus()
    seen = bus.subscribe("test")
    for index in range(4):
        recorder = Recorder("run-1", f"agent-{index}", bus=bus, kafka=False)
        recorder.reset(0.0)
        recorder.step_vector([0] * 30, [0.0] * 30, [False] * 30, [False] * 30)
        environment = forgotten(recorder)
        del recorder
        gc.collect()
        assert environment() is None
    events: list[Any] = []
    while sum(isinstance(event, StreamFinished) for event in events) < 4:
        event = seen.get(10)
        assert event is not None, "the stream of a forgotten recorder did not end"
        events.append(event)
    assert rows_of(events) == 4 * 31
    assert {(e.outcome, e.error) for e in events if isinstance(e, StreamFinished)} == {("interrupted", FORGOTTEN)}


def test_many_short_recorders_are_each_whole() -> None:
    """Five hundred, every other one never closed: a start, two rows and an end each, and nothing stays in memory."""
    bus = RunBus()
    seen = bus.subscribe("test", max_events=10**6)
    before = len(PROCESS.members())
    for index in range(500):
        recorder = Recorder("run-1", f"agent-{index}", bus=bus, kafka=False)
        recorder.reset(0.0)
        recorder.step(0, 1.0, True, False, 0.0)
        if index % 2:
            recorder.close()
        del recorder
    events: list[Any] = []
    while sum(isinstance(event, StreamFinished) for event in events) < 500:
        event = seen.get(10)
        assert event is not None, "a stream did not end"
        events.append(event)
    assert sum(isinstance(event, StreamStarted) for event in events) == 500
    assert rows_of(events) == 1000
    assert len(PROCESS.members()) == before
