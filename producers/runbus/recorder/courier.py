"""Delivers what recorders publish to Kafka, on a thread of its own. The loop never waits for it.

A published event is one piece of work until it is settled: in the queue, taken, encoded, in the client, or a dead
letter. Its subscription counts these pieces, and only a delivery or a drop ends one, so `idle` is never true while an
event is on its way from one of these to the next.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial

from confluent_kafka import KafkaError

from runbus.config.deadline import Deadline
from runbus.kafka.headers import START_BYTES, Headers, shortened
from runbus.kafka.topics import DEAD_LETTERS, HEARTBEATS, METRICS, RUNS, STEPS, Topic, run_event_key
from runbus.recorder.bus import RunBus
from runbus.recorder.complaints import Complaints
from runbus.recorder.counts import Kept, StreamCounts
from runbus.recorder.encoding import EncodedBatch, Packing, encoded, framed, smaller
from runbus.recorder.events import RecorderEvent, RowsRecorded, StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.forms import FORMS
from runbus.recorder.identity import KIND, component_id, now_us, version
from runbus.recorder.journal.spill import Spilled
from runbus.recorder.link import Link, ProducerRecord, advice, is_too_large
from runbus.recorder.settings import CourierSettings
from runbus.recorder.size_limits import SMALL_BYTES, run_event_within
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema
from runbus.schemas.events import Heartbeat, RunEvent

log = logging.getLogger(__name__)

SUBSCRIPTION = "kafka"
_HEARTBEAT_S = 1.0
_IDLE_S = 0.2  # how long an idle courier sleeps; a new event wakes it
_BUSY_S = 0.02  # the same while deliveries are awaited: their reports come by polling
_AT_ONCE = 64  # batches written before the client is polled
_GATHER_S = 0.01  # after waking up: each change of the interpreter lock's owner costs the loop more than a batch
_LEAST_LIMIT = 16 * 1024  # bytes of a value; a topic that takes less makes each batch go twice
_FULL_S = 0.05  # wait for room in the client's buffer
_MAX_DETAIL_STREAMS = 100  # a heartbeat stays a small record

#: what to do about a part that no record can hold
_SMALLER = {
    "observation": "record less of it: observations='auto' leaves out numbers over 1 KiB, 'none' leaves out text too",
    "action": "give a smaller action",
    "info": "give a smaller info",
    "log": "log fewer names a step",
}


class Courier:
    """Delivers one bus to one Kafka.

    Every step, and every value of metrics, ends in exactly one of its stream's counts: delivered (Kafka acknowledged
    it) or dropped (the queue was full, no record can hold it, or the broker refused it for good).

    Args:
        bus, settings: whose steps go where.
        marks: headers of every batch.
    """

    def __init__(self, bus: RunBus, settings: CourierSettings, marks: Headers = ()) -> None:
        self.settings = settings
        self._marks = marks
        self._bus = bus
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._begin()

    def _begin(self) -> None:
        """Set everything up for this process: at construction, and again in a forked child."""
        self._link = Link(self.settings)
        self._complaints = Complaints(log)
        # here and not in the courier's thread: a fork in the middle of an import leaves its lock held for ever
        self._codec: Codec = self.settings.make_codec()
        self._out: deque[EncodedBatch | ProducerRecord] = deque()
        self._held: deque[RecorderEvent] = deque()
        self._finished: list[StreamFinished] = []
        self._spilled = Spilled()
        self._awaited: dict[int, EncodedBatch] = {}
        self._streams: dict[int, StreamCounts] = {}
        self._journals: dict[int, Kept] = {}
        self._closed_counts = {"produced": 0, "dropped": 0}
        self._closed_left_out: dict[str, int] = {}
        self._started_at = now_us()
        self._component = component_id(KIND)
        self._next_heartbeat = 0.0
        self._heartbeat_open = False
        self._prefix = self.settings.kafka.topic_prefix
        #: by topic: one that takes smaller records than the others makes only its own batches smaller
        self._packings: dict[str, Packing] = {}
        self._subscription = self._bus.subscribe(
            SUBSCRIPTION,
            self.settings.policy,
            max_events=1_000_000_000,  # bytes are what runs out
            max_bytes=self.settings.queue_bytes,
            on_drop=self._dropped,
        )

    # --- from other threads -----------------------------------------------------------------------------------

    def follow(self, counts: StreamCounts) -> None:
        """Show a new stream in the heartbeats, and start the thread if it does not run."""
        with self._lock:
            self._streams[id(counts)] = counts
            if counts.journal is not None:
                self._journals[id(counts)] = counts.journal
            if self._thread is None or not self._thread.is_alive():
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name="runbus-courier", daemon=True)
                self._thread.start()

    def publish(self, event: RecorderEvent, *, events: int, nbytes: int) -> None:
        """Publish an event on the bus that it delivers: for whoever has no recorder."""
        self._bus.publish(event, events=events, nbytes=nbytes)

    @property
    def unfinished(self) -> int:
        """Pieces of work that are not done."""
        return self._subscription.unfinished

    def drop_outside(self, count: int) -> None:
        """Count rows that belong to no stream, as they came after its end: the heartbeats show them as dropped."""
        with self._lock:
            self._closed_counts["produced"] += count
            self._closed_counts["dropped"] += count

    def flush(self, timeout: float) -> bool:
        """Wait until all that was published is delivered or dropped; return whether it was within `timeout` seconds."""
        return self._subscription.join(timeout)

    def release(self, released: bool) -> None:
        """End every wait in `flush`, and let none begin, as long as this is set."""
        self._subscription.release(released)

    @property
    def idle(self) -> bool:
        """True if nothing waits, here, in the queue or in the client."""
        return not self._subscription.unfinished

    @property
    def undelivered(self) -> dict[str, int]:
        """Steps, and values of metrics, that are neither delivered nor dropped, by stream."""
        found: dict[str, int] = {}
        for counts in list(self._streams.values()):
            if counts.in_flight:
                name = str(counts.id) if counts.topic == STEPS else f"{counts.id} ({counts.topic.name})"
                found[name] = counts.in_flight
        return found

    @property
    def journaled(self) -> int:
        """Steps that are neither delivered nor dropped, of streams with a journal."""
        return sum(counts.in_flight for counts in list(self._streams.values()) if counts.journal is not None)

    @property
    def address(self) -> str:
        """The brokers, as configured."""
        return self._link.address

    def stop(self, timeout: float = 2.0) -> None:
        """End the thread and close the client; what is left is given up."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def before_fork(self, timeout: float) -> None:
        """Wait until the client has connected, at most `timeout` seconds; not if the broker is down.

        While one of its threads is in getaddrinfo, glibc holds a lock that a forked child would inherit, held for ever:
        the child's own client could then never connect.
        """
        deadline = Deadline.after(timeout, time.monotonic())
        while self._link.connecting and not deadline.passed(time.monotonic()):
            time.sleep(0.002)

    def abandon(self) -> None:
        """Leave the client to the parent (called in a forked child)."""
        self._link.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waited here is the parent's to deliver."""
        self.abandon()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = None
        self._begin()

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except Exception:  # no error ends the courier: later steps may be delivered
                log.exception("the courier met an error; it goes on")
                self._stop.wait(_HEARTBEAT_S)
        self._link.close()

    def _turn(self) -> None:
        if self._has_work():
            if not self._link.ready():
                self._link.poll(0)
                self._stop.wait(_BUSY_S)
                return
            self._take()
        if self._link.connected:
            self._drain()
            self._heartbeat()
        self._sync_journals()
        self._link.poll(_FULL_S if self._out else 0)

    def _has_work(self) -> bool:
        """Return whether there is an event, or one comes while deliveries can wait to be noticed."""
        if self._out or self._held or self._spilled:
            return True
        if not self._subscription.wait(self._patience()):
            return False
        if self._subscription.stats().depth < _AT_ONCE:
            self._stop.wait(_GATHER_S)
        return True

    def _take(self) -> None:
        """Write the next events, several at a time: each change of threads costs much time.

        Until the broker can take them, events stay in the queue, which counts and bounds them.
        """
        if self._out:
            return
        if not self._held:
            self._held.extend(self._subscription.get_many(_AT_ONCE))
        if not self._held:
            self._bring_back(None)
        while self._held and len(self._out) < _AT_ONCE:
            if isinstance(self._held[0], StepsRecorded) and self._spilled:
                self._bring_back(self._held[0])
            try:
                self._write(self._held[0])
            except (UnknownSchema, RegistryUnavailable) as error:
                self._no_schema(error)
                self._stop.wait(_HEARTBEAT_S)
                return
            except Exception as error:  # noqa: BLE001 - one bad event must not hold up the others
                self._unwritable(self._held[0], error)
            self._held.popleft()

    def _bring_back(self, before: StepsRecorded | None) -> None:
        """Hold what lies in the journals only, some at a time: the rows of its stream before a batch, or any."""
        found = self._spilled.fetch(_AT_ONCE, before)
        self._subscription.more(len(found.batches))
        self._held.extendleft(reversed(found.batches))
        for counts, first, count in found.lost:
            _give_up(counts, first, count)
            self._complaints.say(
                "lost in the journal",
                "%d steps of %s, from seq %d on, cannot be read from the journal any more. They count as dropped",
                count,
                counts.id,
                first,
            )
        self._subscription.done(found.events)

    def _sync_journals(self) -> None:
        for journal in list(self._journals.values()) if self._journals else ():
            journal.sync()

    def _patience(self) -> float:
        return _IDLE_S if self.idle else _BUSY_S

    def _write(self, event: RecorderEvent) -> None:
        if isinstance(event, RowsRecorded):
            if event.settled:  # an interrupt had it published twice
                self._subscription.done()
                return
            self._link.need(event.TOPIC)
            found = encoded(event, self._packing(event.TOPIC), now_us())
            event.settled = True
            self._subscription.more(len(found) - 1)
            for batch in found:
                self._out.append(self._checked(batch, batch.error))
        elif isinstance(event, StreamStarted):
            self._out.append(self._run_record(event.event))
        else:
            self._finished.append(event)

    def _packing(self, topic: Topic) -> Packing:
        return self._packings.setdefault(topic.name, Packing(self._prefix, self._codec))

    def _drain(self) -> None:
        """Send what is written, in order, until the client's buffer is full; then the ends of finished streams."""
        while self._out:
            if not self._send(self._out[0]):
                return
            self._out.popleft()
        for event in [f for f in self._finished if f.in_flight == 0]:
            try:
                self._out.append(self._run_record(event.final(now_us()), event.counts.journal))
            except (UnknownSchema, RegistryUnavailable) as error:
                self._no_schema(error)
                self._stop.wait(_HEARTBEAT_S)
                return
            except Exception as error:  # noqa: BLE001 - as above
                self._unwritable(event, error)
            self._finished.remove(event)
            self._retire(event.counts)
            if event.metrics is not None:
                self._retire(event.metrics)

    def _send(self, written: EncodedBatch | ProducerRecord) -> bool:
        if isinstance(written, ProducerRecord):
            return self._link.send(written)
        receipt = replace(written, value=b"")
        self._awaited[id(receipt)] = receipt
        done = partial(self._batch_done, receipt)
        journal = written.counts.journal
        placed = None if journal is None else partial(journal.delivered, written.first_seq, written.count)
        topic = self._prefix + written.topic.name
        sent = self._link.send(ProducerRecord(topic, written.key, written.value, done, self._marks, placed))
        if not sent:
            self._awaited.pop(id(receipt), None)
        return sent

    def _batch_done(self, batch: EncodedBatch, error: KafkaError | None, value: bytes) -> None:
        self._awaited.pop(id(batch), None)
        settled = True
        try:
            settled = self._settle(batch, error, value)
        finally:
            if settled:
                self._subscription.done()

    def _settle(self, batch: EncodedBatch, error: KafkaError | None, value: bytes) -> bool:
        """Count the result of a batch; return whether its work is done: not if a dead letter follows."""
        if error is None:
            batch.counts.deliver(batch.count)
        elif self._stop.is_set():
            pass  # given up at the end of the process, which logs it
        elif is_too_large(error):
            self._refused_for_size(replace(batch, value=value), f"{error.str()}: {advice(error)}")
            return False
        else:
            _give_up(batch.counts, batch.first_seq, batch.count)
            self._complaints.say(
                f"delivery {error.name()}",
                "%d %s of %s were not delivered: %s; %s. They count as dropped",
                batch.count,
                batch.form.rows,
                batch.counts.id,
                error.str(),
                advice(error),
            )
        return True

    def _checked(self, batch: EncodedBatch, error: str) -> EncodedBatch | ProducerRecord:
        """Return what to send for a batch: itself, or its dead letter; say what it had to leave out."""
        if batch.without:
            self._say_left_out(batch)
        return self._dead_letter(batch, error) if batch.error else batch

    def _refused_for_size(self, batch: EncodedBatch, error: str) -> None:
        """Send a batch again in smaller parts; what follows is smaller from the start."""
        packing = self._packing(batch.topic)
        found = smaller(batch, packing)
        limit = max(_LEAST_LIMIT, len(batch.value) // 2)
        self._packings[batch.topic.name] = replace(packing, limit=min(limit, packing.limit))
        self._complaints.say("too large for the broker", "%s. Until then, batches are cut smaller", error)
        self._subscription.more(len(found) - 1)
        self._out.extendleft([self._checked(part, error) for part in reversed(found)])

    def _say_left_out(self, batch: EncodedBatch) -> None:
        """Count what a row had to leave out to fit into a record, and say what to do."""
        for part in batch.without:
            batch.counts.leave_out(part if batch.topic == STEPS else f"metrics {part}")
        if batch.topic != STEPS:
            self._complaints.say(
                "left out for its size",
                "a %s of %s was too large for a record (%d bytes at most) and is recorded without its %s",
                batch.form.row,
                batch.counts.id,
                self._packing(batch.topic).limit,
                " and ".join(batch.without),
            )
            return
        self._complaints.say(
            "left out for its size",
            "step %d of %s was too large for a record (%d bytes at most) and is recorded without its %s. It says so in "
            "its extra left_out.%s; %s",
            batch.first_seq,
            batch.counts.id,
            self._packing(batch.topic).limit,
            " and ".join(batch.without),
            batch.without[0],
            _SMALLER[batch.without[0]],
        )

    def _dead_letter(self, batch: EncodedBatch, error: str) -> ProducerRecord:
        """Return the dead letter of a step that no record can hold, its first bytes; it counts as dropped.

        Its work is done when the dead letter is delivered or dropped.
        """
        _give_up(batch.counts, batch.first_seq, batch.count)
        topic = self._prefix + batch.topic.name
        self._complaints.say(
            "too large",
            "%s %d of %s was dropped: %s. Its first %d bytes are in %s",
            batch.form.row,
            batch.first_seq,
            batch.counts.id,
            error,
            START_BYTES,
            self._prefix + DEAD_LETTERS.name,
        )
        value, headers = shortened(batch.value, batch.headers(topic, error))
        return ProducerRecord(
            topic=self._prefix + DEAD_LETTERS.name,
            key=batch.dead_letter_key(topic),
            value=value,
            delivered=self._record_done,
            headers=headers,
        )

    def _dropped(self, event: object) -> None:
        """Count what the queue had no room for, and say so once; what a journal has is sent later."""
        if isinstance(event, StepsRecorded) and event.journal is not None:
            if not event.settled:
                event.settled = True
                self._subscription.more(1)
                self._spilled.add(event)
            return
        if isinstance(event, RowsRecorded) and _count_drop(event):
            self._complaints.say(
                "queue full",
                "%d %s of %s, and perhaps more, were dropped: the queue of %d MiB is full, because Kafka at %s is "
                "away or slower than the agent. They are counted; raise RUNBUS_RECORDER_QUEUE_MB, or record less",
                event.count,
                FORMS[event.TOPIC.name].rows,
                event.counts.id,
                self.settings.queue_bytes // 2**20,
                self.address,
            )

    def _no_schema(self, error: Exception) -> None:
        self._complaints.say("schema", "%s; steps wait in memory until then", error)

    def _unwritable(self, event: RecorderEvent, error: Exception) -> None:
        _count_drop(event)
        self._complaints.say(
            "encode", "%s could not be written: %s. Its steps count as dropped", event.counts.id, error
        )
        self._subscription.done()

    def _run_record(self, event: RunEvent, journal: Kept | None = None) -> ProducerRecord:
        """Return the record of a start, or of an end: with it `journal` is no longer needed."""
        topic = self._prefix + RUNS.name
        key = run_event_key(event.run_id, event.agent_id, event.attempt)
        return ProducerRecord(topic, key, framed(event, topic, self._codec), partial(self._run_done, event, journal))

    def _run_done(self, event: RunEvent, journal: Kept | None, error: KafkaError | None, value: bytes) -> None:
        """Send the start or end of a stream once more, with less text, if the broker takes no record of its size."""
        if error is not None and is_too_large(error) and not self._stop.is_set():
            smaller = run_event_within(event, SMALL_BYTES)
            if smaller != event:
                self._out.append(self._run_record(smaller, journal))
                return
        if error is None and journal is not None:
            journal.remove()
        self._record_done(error, value)

    def _record_done(self, error: KafkaError | None, _value: bytes) -> None:
        self._subscription.done()
        if error is not None and not self._stop.is_set():
            self._complaints.say(
                f"letter {error.name()}", "a record was not delivered: %s; %s", error.str(), advice(error)
            )

    # --- heartbeats -------------------------------------------------------------------------------------------

    def _retire(self, counts: StreamCounts) -> None:
        with self._lock:
            self._streams.pop(id(counts), None)
            self._journals.pop(id(counts), None)
            self._closed_counts["produced"] += counts.produced
            self._closed_counts["dropped"] += counts.dropped
            for part, count in counts.left_out.items():
                self._closed_left_out[part] = self._closed_left_out.get(part, 0) + count

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now < self._next_heartbeat or self._heartbeat_open:  # one at a time: else they pile up in an outage
            return
        self._next_heartbeat = now + _HEARTBEAT_S
        topic = self._prefix + HEARTBEATS.name
        try:
            value = framed(self.heartbeat(), topic, self._codec)
        except (UnknownSchema, RegistryUnavailable) as error:
            self._no_schema(error)
            return
        self._heartbeat_open = True
        if not self._link.send(ProducerRecord(topic, self._component.encode(), value, self._heartbeat_done)):
            self._heartbeat_open = False

    def _heartbeat_done(self, error: KafkaError | None, _value: bytes) -> None:
        self._heartbeat_open = False
        if error is None:
            self._complaints.settle("heartbeat")
        elif not self._stop.is_set():  # however the client names it: until one arrives, it is the same complaint
            self._complaints.say("heartbeat", "no heartbeats: %s; %s", error.str(), advice(error))

    def heartbeat(self) -> Heartbeat:
        """Return counts, drops and lag of this moment."""
        open_streams = list(self._streams.values())
        detail = {
            **_shown([counts for counts in open_streams if counts.topic == STEPS], "streams"),
            **_shown([counts for counts in open_streams if counts.topic == METRICS], "metrics"),
            "bus": {name: stats.as_dict() for name, stats in self._bus.stats().items()},
            "complaints": {**self._complaints.counts(), **self._left_out_counts()},
        }
        if self._journals:
            detail["journal"] = _sums([journal.stats() for journal in list(self._journals.values())])
        return Heartbeat(
            component_id=self._component,
            kind=KIND,
            sent_at=now_us(),
            started_at=self._started_at,
            version=version(),
            total_events=self._closed_counts["produced"] + sum(t.produced for t in open_streams),
            dropped_events=self._closed_counts["dropped"] + sum(t.dropped for t in open_streams),
            lag_ms=self._lag_ms(),
            lag_events=sum(t.in_flight for t in open_streams),
            detail=json.dumps(detail, separators=(",", ":")),
        )

    def _left_out_counts(self) -> dict[str, int]:
        """Return how many values the steps of all streams had to leave out, by part, as complaints."""
        found = dict(self._closed_left_out)
        for counts in list(self._streams.values()):
            for part, count in counts.left_out.items():
                found[part] = found.get(part, 0) + count
        return {f"left out {part}": count for part, count in found.items()}

    def _lag_ms(self) -> int:
        """Return the age of the oldest steps that are not acknowledged, in milliseconds."""
        oldest = [batch.oldest for batch in list(self._awaited.values())[:1]]
        if (spilled := self._spilled.oldest) is not None:
            oldest.append(spilled)
        oldest += [p.oldest for p in list(self._out)[:1] if isinstance(p, EncodedBatch)]
        oldest += [
            e.closed_at for e in (*list(self._held)[:1], self._subscription.peek()) if isinstance(e, RowsRecorded)
        ]
        return int((time.monotonic() - min(oldest)) * 1000) if oldest else 0


def _sums(journals: list[dict[str, int]]) -> dict[str, int]:
    """Return the counts of all journals; of orphans, which they share a folder with, the highest."""
    found: dict[str, int] = {}
    for counts in journals:
        for name, count in counts.items():
            found[name] = max(found.get(name, 0), count) if name == "orphans" else found.get(name, 0) + count
    return found


def _shown(streams: list[StreamCounts], name: str) -> dict[str, object]:
    """Return the counts of some streams, and how many more there are; those of steps and of metrics never mix."""
    shown = {
        str(t.id): {"produced": t.produced, "delivered": t.delivered, "dropped": t.dropped}
        for t in streams[:_MAX_DETAIL_STREAMS]
    }
    return {name: shown, f"more_{name}": len(streams) - len(shown)}


def _count_drop(event: object) -> bool:
    """Count the steps of an event as dropped, once; return whether it was now."""
    if not isinstance(event, RowsRecorded) or event.settled:
        return False
    event.settled = True
    _give_up(event.counts, event.first_seq, event.count)
    return True


def _give_up(counts: StreamCounts, first: int, count: int) -> None:
    """Count rows as dropped; their journal need not keep them."""
    counts.drop(count)
    if counts.journal is not None:
        counts.journal.given_up(first, count)
