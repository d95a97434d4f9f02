"""What recorders of a process share, and what the end of a process means for its streams."""

import threading

import pytest

from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.recorder.identity import Attempts, component_id
from runbus.recorder.process import PROCESS
from runbus.recorder.settings import CourierSettings


def test_recorders_share_one_bus_per_kafka() -> None:
    """The default bus is one for the same settings, and another one for another broker."""
    here, there = KafkaSettings("127.0.0.1:1"), KafkaSettings("127.0.0.1:2")
    buses = [Recorder("run-1", settings=s).bus for s in (here, here, there)]
    assert buses[0] is buses[1]
    assert buses[0] is not buses[2]


def test_a_bus_delivers_to_one_kafka() -> None:
    """Two couriers on one bus would each send everything: the second is refused, and says what to do."""
    bus = RunBus()
    PROCESS.courier(bus, CourierSettings(KafkaSettings("127.0.0.1:1")))
    with pytest.raises(ConfigError, match="give the recorder a bus of its own"):
        PROCESS.courier(bus, CourierSettings(KafkaSettings("127.0.0.1:2")))


def test_building_a_recorder_starts_nothing() -> None:
    """No thread and no client before the first step: the recorder can still travel to a worker."""
    before = set(threading.enumerate())
    Recorder("run-1", settings=KafkaSettings("127.0.0.1:1"))
    assert set(threading.enumerate()) == before


def test_attempts_ascend_in_one_microsecond_and_when_the_clock_steps_back() -> None:
    """An attempt is given out once, whatever the clock says."""
    attempts = Attempts()
    assert [attempts.next(100), attempts.next(100), attempts.next(50), attempts.next(200)] == [100, 101, 102, 200]


def test_attempts_are_unique_over_threads() -> None:
    """Many threads at once never get the same one."""
    attempts, found = Attempts(), list[int]()
    threads = [threading.Thread(target=lambda: found.extend(attempts.next(7) for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2000


def test_component_ids_of_a_process_differ() -> None:
    """Two couriers of one process do not overwrite each other's heartbeats."""
    assert component_id("recorder") != component_id("recorder")


def test_the_end_bounds_what_block_waits_for() -> None:
    """A publisher that waits for room goes on at the deadline; its event counts as dropped."""
    bus, lost = RunBus(), list[str]()
    subscription = bus.subscribe("test", "block", max_events=1, on_drop=lost.append)
    bus.publish("first")
    thread = threading.Thread(target=bus.publish, args=("second",), daemon=True)
    thread.start()
    bus.block_until(Deadline(0.0))
    thread.join(10)
    assert not thread.is_alive()
    assert (lost, subscription.stats().dropped_events) == (["second"], 1)
    assert subscription.get(0) == "first"
    bus.publish("third")  # there is room: nothing is dropped
    assert subscription.get(0) == "third"
