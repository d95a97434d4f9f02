"""Holds the Kafka producer: its configuration, the meaning of its errors, and one log line an outage."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

# list_topics imports it; were that in the courier's thread, a fork just then would leave its import lock held for ever
import confluent_kafka.admin  # noqa: F401
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runbus.kafka.clients import never_destroy, new_recorder_producer
from runbus.kafka.errors import no_answer, refusal
from runbus.kafka.topics import DEAD_LETTERS, HEARTBEATS, MAX_MESSAGE_BYTES, RUNS, STEPS, Topic
from runbus.recorder.complaints import Complaints
from runbus.recorder.renewal import Renewal
from runbus.recorder.settings import CourierSettings

log = logging.getLogger(__name__)

#: room for one value: the topic's limit less the key, the headers and the record batch around it
MAX_VALUE_BYTES = MAX_MESSAGE_BYTES - 64 * 1024
_METADATA_S = 1.0  # one question about the topics; short, so that stop and heartbeats are not held up
_RETRY_S = 1.0  # between two questions while the broker or a topic is missing
_TOPIC_MISSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._DESTROY,  # of a record that waited for a partition when its topic was deleted
)
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)

Delivered = Callable[[KafkaError | None, bytes], None]


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """One record on its way.

    Attributes:
        delivered: is called once, with None, or with the error and the value.
        placed: is called before it with partition and offset, if Kafka has the record.
    """

    topic: str
    key: bytes
    value: bytes
    delivered: Delivered
    headers: tuple[tuple[str, bytes], ...] = ()
    placed: Callable[[int, int], None] | None = None


def is_too_large(error: KafkaError) -> bool:
    """Return whether the broker or the client refuses the record for its size."""
    return error.code() in _TOO_LARGE


def advice(error: KafkaError) -> str:
    """Return what to do about a failed delivery, in a few words; the link itself names a right that is missing."""
    if error.code() in _TOPIC_MISSING:
        return "create the topics with `runbus topics apply`"
    if is_too_large(error):
        return f"raise the topic's max.message.bytes to {MAX_MESSAGE_BYTES}"
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return "give this user the right to write"
    return "see the broker's log"


class Link:
    """Holds one producer, built at first use in this process and rebuilt after a fatal error. One thread uses it.

    Kafka takes or refuses a batch as a whole, so a record may be refused for the size of its neighbours. The first
    refusal is not believed: the client delivers what it has, another one sends each record as a batch of its own, and
    what is refused then is too large itself.
    """

    def __init__(self, settings: CourierSettings) -> None:
        self._settings = settings
        self._topics: tuple[Topic, ...] = (STEPS, RUNS, HEARTBEATS, DEAD_LETTERS)
        self._producer: Producer | None = None
        self._complaints = Complaints(log)
        self._ready = False
        self._retry_at = 0.0
        self._down_since = 0.0
        self._fatal = False
        self._acknowledged = False
        self._alone = False
        self._again: deque[ProducerRecord] = deque()
        self._renewal = Renewal(settings.kafka)

    @property
    def address(self) -> str:
        """The brokers, as configured."""
        return self._settings.kafka.bootstrap_servers

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topics that the recorder writes to."""
        prefix = self._settings.kafka.topic_prefix
        return tuple(prefix + topic.name for topic in self._topics)

    def need(self, topic: Topic) -> None:
        """Write to this topic too: nothing is sent before the broker has it. Those that every agent uses are there."""
        if topic not in self._topics:
            self._topics = (*self._topics, topic)
            self._ready, self._retry_at = False, 0.0

    def ready(self) -> bool:
        """Return whether the broker answered and has the topics. Asks at most once a second, for at most a second."""
        if self._fatal:
            self._rebuild()
        if self._renew() == "draining":
            return False
        if self._ready:
            return True
        if time.monotonic() < self._retry_at:
            return False
        self._ready = self._ask_topics()
        self._retry_at = time.monotonic() + _RETRY_S
        return self._ready

    @property
    def connected(self) -> bool:
        """True if the broker answered and had the topics when it was last asked."""
        return self._ready

    @property
    def connecting(self) -> bool:
        """True if the client's threads look up the broker and connect to it for the first time."""
        return self._producer is not None and not self._down_since and not (self._ready and self._acknowledged)

    def send(self, record: ProducerRecord) -> bool:
        """Hand a record to the client; False = its buffer is full or it is about to go, try again after `poll`."""
        return not self._again and self._produce(record)

    def _produce(self, record: ProducerRecord) -> bool:
        try:
            self._built().produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=self._reporter(record),
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._report(record.delivered, error.args[0], record.value)
        return True

    def poll(self, timeout: float) -> None:
        """Let the client call back: deliveries, errors, its log."""
        if self._producer is not None:
            self._producer.poll(timeout)
            self._renew()
        if self._again:
            self._send_alone()

    def close(self) -> None:
        """Give up what is left and close the client."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.poll(0.1)
            self._producer = None

    def after_fork(self) -> None:
        """Leave the parent's client alone."""
        if self._producer is not None:
            never_destroy(self._producer)

    def _built(self) -> Producer:
        if self._producer is None:
            self._producer = new_recorder_producer(self._settings.kafka, self._options())
        return self._producer

    def _options(self) -> dict[str, object]:
        return {
            "compression.type": self._settings.compression,
            "linger.ms": 5,
            "message.timeout.ms": 0,  # a record waits for its broker for ever; only the courier's queue drops
            "message.max.bytes": MAX_MESSAGE_BYTES,
            **({"batch.num.messages": 1} if self._alone else {}),
            "queue.buffering.max.kbytes": self._settings.buffer_bytes // 1024,
            "queue.buffering.max.messages": 1_000_000,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2000,  # how long after a broker's return delivery may still wait
            "error_cb": self._on_error,
            "logger": _ClientLog(),
        }

    def _ask_topics(self) -> bool:
        try:
            listed = self._built().list_topics(timeout=_METADATA_S).topics
        except KafkaException as error:
            self._built().poll(0)  # if the client knows why the connection fails, it says so before the link does
            self._broker_down(error.args[0])
            return False
        self._broker_up()
        absent = [name for name in self.topics if name not in listed or listed[name].error is not None]
        refused = [name for name in absent if self._is_refused(name)]
        for name in refused:
            self._say_refused(name)
        missing = [name for name in absent if name not in refused]
        if missing:
            self._complaints.say(
                "topics",
                "Kafka at %s has no topic %s: create the topics with `runbus topics apply`. Until then steps wait in "
                "memory (%d MiB); what does not fit is dropped and counted",
                self.address,
                ", ".join(missing),
                self._settings.queue_bytes // 2**20,
            )
        elif self._complaints.settle("topics"):
            log.warning("Kafka at %s has the topics now: recording goes on", self.address)
        if not absent and [name for name in self.topics if self._complaints.settle(f"right {name}")]:
            log.warning("Kafka at %s allows it now: recording goes on", self.address)
        return not absent

    def _is_refused(self, name: str) -> bool:
        """Return whether a topic that is not listed is hidden from this user."""
        try:
            found = self._built().list_topics(name, timeout=_METADATA_S).topics.get(name)
        except KafkaException:
            return False
        return found is not None and found.error is not None and found.error.code() in _REFUSED

    def _say_refused(self, topic: str) -> None:
        self._complaints.say(
            f"right {topic}",
            "%s. The agent goes on; steps wait in memory (%d MiB) while a topic cannot be seen; what does not fit, or "
            "is refused, is dropped and counted",
            refusal(self._settings.kafka, [f"Write on Topic {topic}"]),
            self._settings.queue_bytes // 2**20,
        )

    def _reporter(self, record: ProducerRecord) -> Callable[[KafkaError | None, Message], None]:
        empty = replace(record, value=b"")  # the client keeps the value: not twice in memory
        alone = self._alone
        return lambda error, message: self._reported(empty, alone, error, message)

    def _reported(self, record: ProducerRecord, alone: bool, error: KafkaError | None, message: Message) -> None:
        value = b"" if error is None else message.value() or b""
        if error is not None and error.code() in _REFUSED:
            self._say_refused(record.topic)
        if error is None and record.placed is not None:
            partition, offset = message.partition(), message.offset()
            record.placed(-1 if partition is None else partition, -1 if offset is None else offset)
        if error is not None and is_too_large(error) and not alone:
            self._alone = True
            self._again.append(replace(record, value=value))
        else:
            self._report(record.delivered, error, value)

    def _send_alone(self) -> None:
        """Send again, one by one, what was refused for its size, once the old client has delivered the rest."""
        if self._producer is not None and len(self._producer):
            return
        self.close()
        self._acknowledged = False
        while self._again and self._produce(self._again[0]):
            self._again.popleft()

    def _report(self, delivered: Delivered, error: KafkaError | None, value: bytes) -> None:
        if error is None:
            self._acknowledged = True
            self._broker_up()
        elif error.code() in _TOPIC_MISSING:
            self._ready = False
        delivered(error, value)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _REFUSED:  # no right to write anywhere: the broker gives it no producer id
            for topic in self.topics:
                self._say_refused(topic)
            self._fatal = self._fatal or error.fatal()
        elif error.fatal():
            log.error("the Kafka client gave up (%s); a new one is started", error.str())
            self._fatal = True
        elif error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL):
            self._broker_down(error)

    def _broker_down(self, error: KafkaError) -> None:
        self._down_since = self._down_since or time.monotonic()
        self._complaints.say(
            "down",
            "%s. The agent goes on; its steps wait in memory (%d MiB), what does not fit is dropped and counted",
            no_answer(self._settings.kafka, error.str()),
            (self._settings.queue_bytes + self._settings.buffer_bytes) // 2**20,
        )

    def _broker_up(self) -> None:
        if self._down_since and self._complaints.settle("down"):
            log.warning("Kafka at %s is back after %.1f s", self.address, time.monotonic() - self._down_since)
        self._down_since = 0.0

    def _renew(self) -> str:
        """Take over a password or a certificate that has changed in its file; return what Renewal.advance does."""
        step = "unchanged" if self._producer is None else self._renewal.advance(self._producer)
        if step == "draining":
            self._ready = False  # nothing new goes to the old client
        elif step == "replace":
            self._rebuild()
        return step

    def _rebuild(self) -> None:
        self._fatal, self._ready = False, False
        self.close()


class _ClientLog:
    """Writes librdkafka's own log lines at debug level: the link says once what matters in them."""

    def log(self, _level: int, message: str, *args: object) -> None:
        """Write one line of the client."""
        log.debug(message, *args)
