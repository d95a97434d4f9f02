"""The courier's own steps, without a broker: one bad event holds up nothing, and `idle` is never true too early."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import Topic
from runbus.recorder import Recorder, RunBus, Subscription
from runbus.recorder import courier as courier_module
from runbus.recorder.courier import Courier
from runbus.recorder.encoding import EncodedBatch, Packing
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.recorder.link import ProducerRecord
from runbus.recorder.settings import CourierSettings
from runbus.schemas.batch import StepBatch, decode
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
        recorder.flush(0)
    batches = [event for event in seen.get_many(100) if isinstance(event, StepsRecorded)]
    for batch in batches[:2]:
        batch.seeds = {9: 1}  # numpy raises IndexError for a row that is not there
    with caplog.at_level(logging.ERROR):
        courier._take()
    assert not courier._held
    assert recorder.stats()["dropped"] == 2
    assert len(courier._out) == 2  # the start of the stream, and the third batch
    assert ["could not be written" in r.getMessage() for r in caplog.records] == [True]
    recorder.close()


class FakeLink:
    """A broker that takes records, answers each at the next poll, and refuses one of every `full` for want of room."""

    connected = True
    address = "nowhere"

    def __init__(self, answer: Callable[[ProducerRecord], KafkaError | None], full: int) -> None:
        self._answer = answer
        self._full = full
        self._asked = 0
        self._sent: list[ProducerRecord] = []
        self.answered: list[str] = []

    def ready(self) -> bool:
        """Return that there is a broker."""
        return True

    def need(self, topic: Topic) -> None:
        """Take it that the broker has the topic."""

    def send(self, letter: ProducerRecord) -> bool:
        """Take a record, or not."""
        self._asked += 1
        if self._full and self._asked % self._full == 0:
            return False
        self._sent.append(letter)
        return True

    def poll(self, _timeout: float) -> None:
        """Answer the oldest record; more at the next poll."""
        if self._sent:
            letter = self._sent.pop(0)
            error = self._answer(letter)
            if letter.topic != "runbus.heartbeats":
                self.answered.append(letter.topic)
            letter.delivered(error, b"" if error is None else letter.value)


def _taken(_letter: ProducerRecord) -> KafkaError | None:
    return None


def _refused(letter: ProducerRecord) -> KafkaError | None:
    return KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED) if letter.topic == "runbus.steps" else None


def _too_large(letter: ProducerRecord) -> KafkaError | None:
    return KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if letter.topic == "runbus.steps" else None


def _a_run(recorder: Recorder) -> None:
    """Publish a start, batches that are one record, several, and none at all, a batch that is no batch, and an end."""
    with recorder:
        for values in ([1.0, 2.0], [2.0] * 2, [1.0, 2.0]):
            for value in values:
                recorder.reset(np.full(8, value))
            recorder.flush(0)
        recorder.reset(np.zeros(120))  # its step alone is over the limit
        recorder.flush(0)
        recorder.reset(np.zeros(8), seed=7)
        recorder.flush(0)


def _damage(courier: Courier) -> None:
    """Make the batch with a seed one that cannot be encoded."""
    batches = [item.event for item in courier._subscription._items.values() if isinstance(item.event, StepsRecorded)]
    (seeded,) = [batch for batch in batches if batch.seeds]
    seeded.seeds = {9: 1}


@pytest.mark.parametrize("full", [0, 3], ids=["room", "full buffer"])
@pytest.mark.parametrize("limit", [900, 200], ids=["one record a batch", "split"])
@pytest.mark.parametrize("answer", [_taken, _refused, _too_large])
def test_idle_is_true_at_no_line_before_the_end(
    answer: Callable[[ProducerRecord], KafkaError | None], limit: int, full: int
) -> None:
    """Wherever another thread looks, between any two lines of the courier, `idle` says that the last answer came."""
    bus = RunBus()
    courier = courier_on(bus)
    courier._link = link = FakeLink(answer, full)  # type: ignore[assignment]
    courier._packings["steps"] = Packing("runbus.", Codec(), limit)
    _a_run(Recorder("run-1", bus=bus, kafka=False))
    _damage(courier)
    lines, early = 0, list[tuple[str, int, int]]()

    def look(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != courier_module.__file__:
            return None
        if event == "line":
            lines += 1
            if courier.idle:
                early.append((frame.f_code.co_name, frame.f_lineno, len(link.answered)))
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        while not courier.idle:
            courier._turn()
    finally:
        sys.settrace(before)
    assert lines > 300
    assert link.answered[0] == link.answered[-1] == "runbus.runs"  # the start, and the end with its counts
    assert [place for place in early if place[2] < len(link.answered)] == []
    steps, letters = (link.answered.count(f"runbus.{name}") for name in ("steps", "dead-letters"))
    recorded = 7  # three batches of two, and a large step that is recorded without its observation
    if answer is _too_large:  # cut, then without a part, then without the next: each step ends as a letter
        assert letters == recorded
        assert steps > recorded
    else:
        assert (steps, letters) == (4 if limit == 900 else recorded, 0)
    assert not any((courier._held, courier._finished, courier._out, courier._awaited))


def test_a_flush_waits_once_and_wakes_at_the_last_answer() -> None:
    """It looks at nothing meanwhile: one wait for all the time that it has, ended by the work that ends."""
    waits: list[float | None] = []

    class Watched(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            waiting.set()
            return super().wait(timeout)

    bus, waiting = RunBus(), threading.Event()
    courier = courier_on(bus)
    subscription = courier._subscription
    subscription._over = Watched(subscription._changed._lock)  # type: ignore[attr-defined]
    bus.publish("one")
    bus.publish("two")
    ended = list[bool]()
    thread = threading.Thread(target=lambda: ended.append(courier.flush(600)), daemon=True)
    thread.start()
    assert waiting.wait(10)
    subscription.get_many(2)
    subscription.more(1)
    subscription.done(2)
    assert thread.is_alive()
    subscription.done()
    thread.join(10)
    assert ended == [True]
    assert waits == [600]


def test_a_flush_of_nothing_does_not_wait() -> None:
    """Without work it returns at once, and with work and no time too."""
    bus = RunBus()
    courier = courier_on(bus)
    assert courier.flush(600)
    bus.publish("one")
    assert not courier.flush(0)


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


def published(recorder: Recorder) -> None:
    """Publish what is recorded so far."""
    assert recorder._recording is not None
    recorder._recording.close_batch()


def events_of(recorder: Recorder, subscription: Subscription, count: int) -> list[StepsRecorded]:
    """Record steps and return the batches."""
    for i in range(count):
        recorder.step(i, 1.0, False, False, np.full(8, i))
    published(recorder)
    return [event for event in subscription.get_many(100) if isinstance(event, StepsRecorded)]


def test_a_broker_with_a_smaller_limit_gets_smaller_batches(caplog: pytest.LogCaptureFixture) -> None:
    """What it refuses for its size comes again in parts, in order, nothing twice; the next batches are cut at once."""
    bus = RunBus()
    seen = bus.subscribe("test")
    courier = courier_on(bus)
    taken: list[StepBatch] = []

    def limited(letter: ProducerRecord) -> KafkaError | None:
        if letter.topic != "runbus.steps":
            return None
        if len(letter.value) > 20_000:
            return KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
        taken.append(decode(Codec().open(letter.value, "StepBatch")[1]))
        return None

    courier._link = FakeLink(limited, 0)  # type: ignore[assignment]
    recorder = Recorder("run-1", bus=bus, kafka=False, observations="all")
    for _ in range(2):
        events_of(recorder, seen, 256)
    while not courier.idle:
        courier._turn()
    seqs = [seq for batch in taken for seq in range(batch.header.first_seq, batch.header.next_seq)]
    assert seqs == list(range(512))
    stats = recorder.stats()
    assert (stats["delivered"], stats["dropped"]) == (512, 0)
    assert len([r for r in caplog.records if "max.message.bytes" in r.getMessage()]) == 1


def test_a_batch_that_an_interrupt_published_twice_is_written_once() -> None:
    """Ctrl-C while a batch is published, before it is in the queue or after: it is written once, and counted once."""
    for moment in ("before", "after"):
        bus = InterruptedBus(moment)
        courier = courier_on(bus)
        recorder = Recorder("run-1", bus=bus, kafka=False)
        recorder.step(1, 1.0, False, False, 0.5)
        bus.armed = True
        with pytest.raises(KeyboardInterrupt):
            published(recorder)
        courier._take()
        (batch,) = [out for out in courier._out if isinstance(out, EncodedBatch)]
        assert (batch.first_seq, batch.count) == (0, 1)
        assert recorder.stats()["in_flight"] == 1
        recorder.close()


class InterruptedBus(RunBus):
    """A bus whose publish is interrupted once, before or after the event is in the queues."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.armed = False
        self._moment = moment

    def publish(self, event: Any, *, events: int = 1, nbytes: int = 0) -> None:
        """Publish, or not, and be interrupted if it is armed."""
        armed, self.armed = self.armed, False
        if not armed or self._moment == "after":
            super().publish(event, events=events, nbytes=nbytes)
        if armed:
            raise KeyboardInterrupt


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_steps_that_the_queue_has_no_room_for_are_said_once(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Many more than it holds, with the broker away: counted exactly, one line with what to do."""
    bus = RunBus()
    courier = Courier(bus, CourierSettings(KafkaSettings("127.0.0.1:1"), policy=policy, queue_bytes=2**20))
    recorder = Recorder("run-1", bus=bus, kafka=False, observations="all")
    for _ in range(4):
        recorder.reset_vector(np.zeros((4096, 128), np.float32))
    published(recorder)
    stats = recorder.stats()
    waiting = sum(i.event.count for i in courier._subscription._items.values() if isinstance(i.event, StepsRecorded))
    assert stats["dropped"] == 4 * 4096 - waiting
    assert waiting < 4096
    (line,) = [r.getMessage() for r in caplog.records if "queue of 1 MiB is full" in r.getMessage()]
    assert "RUNBUS_RECORDER_QUEUE_MB" in line
    recorder.close()


def test_a_heartbeat_counts_what_steps_had_to_leave_out() -> None:
    """Parts that were left out at the call, and for their size, are complaints of the component."""
    bus = RunBus()
    courier = courier_on(bus)
    seen = bus.subscribe("test")
    courier._packings["steps"] = Packing("runbus.", Codec(), 2000)
    recorder = Recorder("run-1", bus=bus, kafka=False)
    recorder.step(object(), None, False, False, "x" * 5000)
    published(recorder)
    (event,) = [event for event in seen.get_many(100) if isinstance(event, StepsRecorded)]
    courier._streams[0] = event.counts
    courier._take()
    complaints = json.loads(courier.heartbeat().detail)["complaints"]
    assert complaints["left out action"] == complaints["left out reward"] == complaints["left out observation"] == 1
    assert complaints["left out for its size"] == 1
    recorder.close()


def test_heartbeats_that_do_not_arrive_are_one_complaint(caplog: pytest.LogCaptureFixture) -> None:
    """The client has several names for a topic that is gone; the next complaint is said when one arrived between."""
    courier = courier_on(RunBus())
    gone = [
        KafkaError(code) for code in (KafkaError._UNKNOWN_PARTITION, KafkaError._DESTROY, KafkaError._UNKNOWN_TOPIC)
    ]
    for error in gone:
        courier._heartbeat_done(error, b"")
    assert [r.getMessage().partition(": ")[0] for r in caplog.records] == ["no heartbeats"]
    assert "`runbus topics apply`" in caplog.text
    courier._heartbeat_done(None, b"")
    for error in gone[1:]:
        courier._heartbeat_done(error, b"")
    assert [r.getMessage() for r in caplog.records[1:]] == [
        "no heartbeats: Local: Broker handle destroyed for termination; create the topics with `runbus topics apply`"
    ]
