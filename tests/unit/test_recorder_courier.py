"""The courier's own steps, without a broker: one bad event holds up nothing, and `idle` is never true too early."""

import logging
import threading

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.recorder.courier import Courier
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.recorder.settings import CourierSettings
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryUnavailable


class RegistryAway(Codec):
    """Frames nothing."""

    def frame(self, *_: object) -> bytes:
        """Raise as the codec of an unreachable registry does."""
        raise RegistryUnavailable("the registry is away")


def courier_on(bus: RunBus, codec: type[Codec] = Codec) -> Courier:
    """Return a courier whose thread does not run."""
    return Courier(bus, CourierSettings(KafkaSettings("127.0.0.1:1"), make_codec=codec))


def test_an_event_that_cannot_be_encoded_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the error, its steps count as dropped, it is said once, and the next events are written."""
    bus = RunBus()
    courier = courier_on(bus)
    seen = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    for seed in (1, 2, 3):
        recorder.reset(0.5, seed=seed)
        recorder.close_batch()
    batches = [event for event in seen.get_many(100) if isinstance(event, StepsRecorded)]
    for batch in batches[:2]:
        batch.seeds = {0: 2**70}  # numpy raises OverflowError for it
    with caplog.at_level(logging.ERROR):
        courier._take()
    assert not courier._held
    assert recorder.stats()["dropped"] == 2
    assert len(courier._out) == 2  # the start of the stream, and the third batch
    assert ["could not be written" in r.getMessage() for r in caplog.records] == [True]
    recorder.close()


def test_a_finished_stream_is_never_out_of_sight() -> None:
    """While the end of a run is being written the courier is not idle: a flush would leave it behind."""
    found: list[bool] = []

    class Watching(Codec):
        def frame(self, topic: str, schema: str, payload: bytes) -> bytes:  # type: ignore[override]
            found.append(courier.idle)
            return super().frame(topic, schema, payload)  # type: ignore[arg-type]

    bus = RunBus()
    courier = courier_on(bus, Watching)
    seen = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    with recorder:
        pass
    (finished,) = [event for event in seen.get_many(10) if isinstance(event, StreamFinished)]
    courier._subscription.get_many(10)
    courier._finished.append(finished)
    courier._drain()
    assert found == [False]
    assert (len(courier._finished), len(courier._out)) == (0, 1)


def test_a_heartbeat_without_a_registry_is_one_complaint(caplog: pytest.LogCaptureFixture) -> None:
    """The registry away is said once, not with a traceback each second."""
    courier = courier_on(RunBus(), RegistryAway)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            courier._next_heartbeat = 0.0
            courier._heartbeat()
    assert [r.getMessage() for r in caplog.records] == ["the registry is away; steps wait in memory until then"]
    assert caplog.records[0].exc_info is None


def test_release_ends_a_flush() -> None:
    """A flush that waits for a broker that is down is let go long before its own deadline."""
    bus = RunBus()
    courier = courier_on(bus)
    bus.publish(object())
    threading.Timer(0.05, courier.release, (True,)).start()
    ended = list[bool]()
    thread = threading.Thread(target=lambda: ended.append(courier.flush(600)), daemon=True)
    thread.start()
    thread.join(10)
    assert ended == [False]


def test_the_end_of_a_run_waits_for_the_registry(caplog: pytest.LogCaptureFixture) -> None:
    """FINISHED stays in hand while the registry is away, and that is said without a traceback."""
    bus = RunBus()
    courier = courier_on(bus, RegistryAway)
    courier._stop.set()  # no pause after the complaint
    seen = bus.subscribe("test")
    with Recorder("run-1", bus=bus, kafka=False):
        pass
    courier._finished += [event for event in seen.get_many(10) if isinstance(event, StreamFinished)]
    courier._drain()
    assert (len(courier._finished), len(courier._out)) == (1, 0)
    assert [r.exc_info for r in caplog.records] == [None]
