"""Reads the commands of `runbus control` for the recorders of a process, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
import weakref

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runbus.config.deadline import Deadline
from runbus.config.errors import InvalidValue, RunBusError
from runbus.config.rotation import LOOK_S, CredentialFiles
from runbus.kafka.clients import never_destroy, new_command_reader
from runbus.kafka.errors import no_answer, refusal
from runbus.kafka.next_step import NextStep, cause_of, next_step
from runbus.kafka.topics import CONTROL
from runbus.recorder.commands import Inbox, Sent
from runbus.recorder.complaints import Complaints
from runbus.recorder.settings import CourierSettings
from runbus.schemas.events import ControlCommand

log = logging.getLogger(__name__)

_POLL_S = 0.2  # a new inbox, and the end of the process, wait for that
_ASK_S = 5.0  # one question to a broker that hangs; it may have to wait for a fetch, a second
_AGAIN_S = 5.0  # before a new client


class _NewClient(Exception):
    """This consumer is of no use any more."""


class CommandFeed:
    """Puts what operators ask into the inboxes of this process. One for each Kafka that recorders deliver to.

    Commands come late while the broker is away, and none is missed: they are in the log. The thread and its client are
    there as long as an inbox is.
    """

    def __init__(self, settings: CourierSettings) -> None:
        self._settings = settings
        self._topic = settings.kafka.topic_prefix + CONTROL.name
        self._complaints = Complaints(log)
        self._begin()

    def _begin(self) -> None:
        """Set everything up for this process: at construction, and again in a forked child."""
        self._lock = threading.Lock()
        self._inboxes: list[weakref.ref[Inbox]] = []
        self._joined = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._consumer: Consumer | None = None
        self._heard = False
        self._end = 0

    # --- from other threads -----------------------------------------------------------------------------------

    def follow(self, inbox: Inbox) -> None:
        """Fill an inbox from now on, as long as something refers to it."""
        with self._lock:
            self._inboxes.append(weakref.ref(inbox))
            self._joined = True
            if self._thread is None:
                self._codec = self._settings.make_codec()  # here: a fork in the middle of an import leaves it locked
                self._thread = threading.Thread(target=self._run, name="runbus-commands", daemon=True)
                self._thread.start()

    @property
    def connecting(self) -> bool:
        """True if the client's threads look up the broker and connect to it for the first time."""
        return self._consumer is not None and not self._heard

    def before_fork(self, timeout: float) -> None:
        """Wait until the client has connected, at most `timeout` seconds; see Courier.before_fork."""
        deadline = Deadline.after(timeout, time.monotonic())
        while self.connecting and not deadline.passed(time.monotonic()):
            time.sleep(0.002)

    def stop(self, timeout: float = 1.0) -> None:
        """End the thread and close the client."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def after_fork(self) -> None:
        """Leave thread and client to the parent (called in a forked child)."""
        if self._consumer is not None:
            never_destroy(self._consumer)
        self._begin()

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set() and self._wanted():
            try:
                self._use_client()
            except _NewClient:
                self._stop.wait(LOOK_S)
            except Exception as error:  # noqa: BLE001 - the agent goes on, and so does the next client
                self._complaints.say("client", "the commands for this agent cannot be read now: %s", error)
                self._stop.wait(_AGAIN_S)

    def _wanted(self) -> bool:
        """Return whether an inbox is left; if none is, the thread ends, and the next inbox begins another one."""
        with self._lock:
            self._inboxes = [ref for ref in self._inboxes if ref() is not None]
            if not self._inboxes:
                self._thread = None
            return bool(self._inboxes)

    def _use_client(self) -> None:
        files = CredentialFiles(self._settings.kafka.credential_files)
        self._heard = False
        consumer = self._consumer = new_command_reader(self._settings.kafka, self._down)
        try:
            self._joined = True
            while not self._stop.is_set() and self._wanted() and not files.changed():
                self._turn(consumer)
        finally:
            self._consumer = None
            consumer.close()

    def _turn(self, consumer: Consumer) -> None:
        with self._lock:
            joined, self._joined = self._joined, False
        if joined:
            self._start_over(consumer)
        message = consumer.poll(_POLL_S)
        if message is None:
            return
        error = message.error()
        if error is None:
            self._answered()
            self._hand_over(message)
            self._passed((message.offset() or 0) + 1)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._answered()
            self._reached(message.offset() or 0)
        else:
            self._judge(error)

    def _start_over(self, consumer: Consumer) -> None:
        """Read from the start: a new inbox needs what was said before it; the others know it.

        The end is asked for, as the client tells of it only once a fetch came back empty: after seconds.
        """
        try:
            found = consumer.list_topics(self._topic, timeout=_ASK_S).topics[self._topic]
            if found.error is not None:  # the next question calls a topic that is forbidden an unknown one
                raise KafkaException(found.error)
            low, self._end = consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=_ASK_S)
        except KafkaException as error:
            consumer.poll(0)  # hands over why the connection failed
            self._joined = True
            self._judge(cause_of(error))
            self._stop.wait(LOOK_S)
            return
        consumer.assign([TopicPartition(self._topic, 0, low)])
        self._answered()
        if low == self._end:
            self._reached(low)

    def _passed(self, offset: int) -> None:
        """Note that what is below an offset was handed over: from the known end on, the end goes with it."""
        if offset >= self._end:
            self._end = offset
            self._reached(offset)

    def _reached(self, end: int) -> None:
        for inbox in self._open():
            inbox.reached(end)

    def _hand_over(self, message: Message) -> None:
        try:
            schema, body = self._codec.open(message.value(), ControlCommand.SCHEMA)
            command = ControlCommand.decode(body, schema)
        except (InvalidValue, RunBusError) as error:
            self._complaints.say("unreadable", "a command at offset %s cannot be read: %s", message.offset(), error)
            return
        sent = Sent(command, message.offset() or 0, message.timestamp()[1] * 1000)
        for inbox in self._open():
            inbox.offer(sent)
            if inbox.overflowed:
                self._complaints.say(
                    "overflow",
                    "%s/%s does not take its commands (Recorder.commands): the oldest are given up",
                    inbox.run,
                    inbox.agent,
                )

    def _open(self) -> list[Inbox]:
        return [inbox for ref in list(self._inboxes) if (inbox := ref()) is not None]

    # --- errors -----------------------------------------------------------------------------------------------

    def _answered(self) -> None:
        self._heard = True
        for kind in ("topic", "right", "down", "client"):
            if self._complaints.settle(kind):
                log.warning("the commands for this agent are read again")

    def _down(self, error: KafkaError) -> None:
        self._heard = True
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL):
            self._complaints.say("down", "no commands: %s", no_answer(self._settings.kafka, error.str()))

    def _judge(self, error: KafkaError) -> None:
        self._heard = True
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
            self._complaints.say("topic", "no commands: there is no topic %s: run `runbus topics apply`", self._topic)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            lacks = refusal(self._settings.kafka, [f"Read on Topic {self._topic}"])
            self._complaints.say("right", "no commands: %s: it is a right of the controlled-recorder", lacks)
        elif next_step(error) in (NextStep.NEW_CLIENT, NextStep.FENCED):
            raise _NewClient
