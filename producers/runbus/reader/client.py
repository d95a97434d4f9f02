"""Reads the log with one consumer of librdkafka, all of whose calls one thread makes; its quirks stay here."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.kafka.clients import never_destroy, new_reader
from runbus.kafka.errors import BrokerUnavailable, RightMissing, TopicMissing, no_answer
from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep, cause_of, next_step, raise_for_person
from runbus.reader.beginnings import QUESTION_S, Beginnings
from runbus.reader.cursor import PartitionCursor
from runbus.reader.errors import TakenOver
from runbus.reader.plan import Plan

log = logging.getLogger(__name__)
T = TypeVar("T")
# A broker that starts at the same time has this long; a wrong address should not wait for ever. Also for a question
# of a rebalance callback: far below max.poll.interval.ms (300 s).
BROKER_S = 30.0
_AGAIN_S = 0.1
#: nothing comes until a connection is made again
_DOWN = (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL)
#: what the client says of FENCED_INSTANCE_ID, which it hands out as one of its own fatal errors
_FENCED = "fenced by other consumer with same group.instance.id"
_ASK_S = 5.0  # one question of these to a broker that hangs


class NewClient(Exception):
    """This consumer is of no use any more: a new one goes on where it was."""


class Lost(Exception):
    """Another member has the partitions of a request."""


class Again(Exception):
    """The broker is away or busy: make the same request again."""


class Came(NamedTuple):
    """What one call brought.

    Attributes:
        records: in the order of the log, within each partition.
        reached: where reading ends now, of partitions of which everything was read.
        out_of_range: partitions whose next offset is not in the log.
    """

    records: list[Message]
    reached: dict[TopicPartition, int]
    out_of_range: list[TopicPartition]


class LogClient:
    """One consumer, from its first request to its end.

    Args:
        plan: what is read.
        cursors: the partitions that the reader has; this adds and removes them. What is there already goes on.
        ended: whether the reader is being closed.
        on_change: is called when partitions came or went.

    Attributes:
        joining: it was thrown out of its group, and has no partitions yet that it may get back.
    """

    def __init__(
        self,
        plan: Plan,
        cursors: dict[TopicPartition, PartitionCursor],
        ended: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._cursors = cursors
        self._before = dict(cursors)
        self._ended = ended
        self._on_change = on_change
        self._held: set[TopicPartition] = set()
        self._waiting = False
        self._reasons: deque[str] = deque(maxlen=3)
        self.joining = False
        self._counts: dict[str, int] = {}
        self._beginnings = Beginnings(plan, self._ask)
        self._failed: BaseException | None = None
        try:
            self._consumer = new_reader(plan.settings.kafka, plan.membership, self._heard)
        except KafkaException as error:
            raise BrokerUnavailable(f"the Kafka settings cannot be used: {cause_of(error).str()}") from error

    # --- begin and end ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Look for the topics and begin to read them; a member gets its partitions later.

        Raises:
            RunBusError: no broker within 30 s, no such topic, no right.
        """
        try:
            self._counts = {name: self._ask(partial(self._count, name)) for name in self._plan.selection.topics}
            if self._plan.name is not None:
                self._consumer.subscribe(
                    list(self._counts),
                    on_assign=lambda _, parts: self._noted(lambda: self._assigned(parts)),
                    on_revoke=lambda _, parts: self._noted(lambda: self._revoked(parts)),
                    on_lost=lambda _, parts: self._noted(lambda: self._lost(parts)),
                )
            else:
                every = [TopicPartition(topic, p) for topic, count in self._counts.items() for p in range(count)]
                self._consumer.assign(self._taken(every))
        except KafkaException as error:
            self._raise(cause_of(error))

    def close(self) -> None:
        """Leave the group and close the consumer."""
        self._consumer.close()

    def leave_to_parent(self) -> None:
        """Never close it here, in a forked child."""
        never_destroy(self._consumer)

    # --- what the fetcher's thread does again and again ---------------------------------------------------------

    def read(self, most: int, seconds: float) -> Came:
        """Return what arrives: as soon as there is something.

        Raises:
            NewClient
            RunBusError: a person has to act.
        """
        came = Came([], {}, [])
        try:
            first = self._consumer.poll(seconds)
            messages = [] if first is None else [first, *(self._consumer.consume(most - 1, 0) if most > 1 else ())]
        except KafkaException as error:
            self._judge(cause_of(error), "")
            return came
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        for message in messages:
            if message.error() is None or message.error().code() == KafkaError._PARTITION_EOF:
                self._answered()
            if message.error() is None:
                came.records.append(message)
            else:
                self._remark(message, came)
        return came

    def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit offsets with their metadata.

        Raises:
            Again, Lost, NewClient
            RunBusError: a person has to act.
        """
        parts = [ClientPartition(*place, offset, metadata=text) for place, (offset, text) in offsets.items()]
        try:
            answers = self._consumer.commit(offsets=parts, asynchronous=False) or []
        except KafkaException as error:
            self._refused(cause_of(error))
        for answer in answers:
            if answer.error is not None:
                self._refused(answer.error)

    def hold(self, places: Iterable[TopicPartition]) -> None:
        """Stop fetching these partitions; the membership goes on. What the client has read ahead is read again."""
        new = [place for place in places if place not in self._held and place in self._cursors]
        if new:
            self._consumer.pause([ClientPartition(*place) for place in new])
            self._held.update(new)

    def release(self) -> None:
        """Fetch all partitions again."""
        if self._held:
            self._consumer.resume([ClientPartition(*p) for p in self._held if p in self._cursors])
            self._held.clear()

    @property
    def holds(self) -> bool:
        """Whether a partition is not fetched at the moment."""
        return bool(self._held)

    def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """Return where the log of a partition begins and ends."""
        try:
            low, end = self._ask(
                lambda: self._consumer.get_watermark_offsets(ClientPartition(*place), timeout=QUESTION_S)
            )
        except KafkaException as error:
            self._raise(cause_of(error))
        return low, end

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Go on at `offset`. (The client refuses to seek where it could not read.)"""
        try:
            self._consumer.incremental_unassign([ClientPartition(*place)])
            self._consumer.incremental_assign([ClientPartition(*place, offset)])
        except KafkaException as error:
            raise NewClient(f"{place} cannot go on at {offset}: {cause_of(error).str()}") from error

    # --- partitions that come and go ----------------------------------------------------------------------------

    def _noted(self, change: Callable[[], None]) -> None:
        """Keep what a callback raises for the next read: librdkafka's thread of calls would lose its kind."""
        try:
            change()
        except KafkaException as error:
            try:
                self._raise(cause_of(error))
            except (RunBusError, NewClient) as translated:
                self._failed = translated
        except (RunBusError, NewClient) as error:
            self._failed = error

    def _assigned(self, parts: Sequence[ClientPartition]) -> None:
        taken: list[ClientPartition] = []
        self.joining = False
        try:
            taken = self._taken([TopicPartition(part.topic, part.partition) for part in parts])
        finally:
            self._consumer.incremental_assign(taken)

    def _taken(self, places: Sequence[TopicPartition]) -> list[ClientPartition]:
        """Begin those partitions that can hold what is wanted."""
        selection = self._plan.selection
        wanted = [p for p in places if p.partition in selection.partitions(p.topic, self._counts[p.topic])]
        cursors = self._beginnings.cursors(self._consumer, wanted, self._before)
        self._cursors.update(cursors)
        self._before.update(cursors)
        self._on_change()
        return [ClientPartition(*place, cursor.fetched) for place, cursor in cursors.items()]

    def _lost(self, parts: Sequence[ClientPartition]) -> None:
        """Give the partitions up, and join again: if nobody else has read on meanwhile, nothing is lost."""
        self.joining = True
        self._revoked(parts)

    def _revoked(self, parts: Sequence[ClientPartition]) -> None:
        mine = []
        for place in (TopicPartition(part.topic, part.partition) for part in parts):
            cursor = self._cursors.pop(place, None)
            self._held.discard(place)
            if cursor is not None:
                cursor.lost = True
                mine.append(ClientPartition(*place))
        self._consumer.incremental_unassign(mine)
        self._on_change()

    # --- questions ----------------------------------------------------------------------------------------------

    def _count(self, topic: str) -> int:
        found = self._consumer.list_topics(topic, timeout=_ASK_S).topics[topic]
        if found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissing(
                f"there is no topic {topic}: run `runbus topics apply` (RUNBUS_TOPIC_PREFIX is the prefix)"
            )
        if found.error is not None:
            if found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise RightMissing(self._plan.settings.kafka, [f"Read on Topic {topic}"])
            raise KafkaException(found.error)
        return len(found.partitions)

    def _ask(self, question: Callable[[], T]) -> T:
        """Return the answer; ask again while the broker may still give one. Raises KafkaException."""
        deadline = Deadline.after(BROKER_S, time.monotonic())
        while True:
            try:
                return question()
            except KafkaException as error:
                step = next_step(cause_of(error))
                if step is not NextStep.AGAIN or self._ended() or deadline.passed(time.monotonic()):
                    raise
                time.sleep(_AGAIN_S)

    # --- errors -------------------------------------------------------------------------------------------------

    def _heard(self, error: KafkaError) -> None:
        """Note what is wrong with the connections, and say once that nothing comes."""
        self._reasons.append(error.str())
        if error.code() in _DOWN and not self._waiting:
            self._waiting = True
            log.warning("reader.waiting %s: %s", self._plan, no_answer(self._plan.settings.kafka, error.str()))

    def _answered(self) -> None:
        self._reasons.clear()
        if self._waiting:
            self._waiting = False
            log.warning("reader.goes_on %s: Kafka is back", self._plan)

    def _remark(self, message: Message, came: Came) -> None:
        """Sort what the client hands out in place of a record."""
        error = message.error()
        assert error is not None
        place = TopicPartition(message.topic() or "", message.partition() or 0)
        if error.code() == KafkaError._PARTITION_EOF:
            came.reached[place] = message.offset() or 0
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and place in self._cursors:
            came.out_of_range.append(place)
        else:
            self._judge(error, place.topic)

    def _judge(self, error: KafkaError, topic: str) -> None:
        """Raise what an error of reading means, unless the client goes on by itself."""
        if error.code() == KafkaError.FENCED_INSTANCE_ID or _FENCED in error.str():
            raise TakenOver(
                f"{self._plan}: another one has its name and the instance {self._plan.instance!r} now, and goes on at "
                "the cursor: give each process an instance of its own"
            )
        self._raise_for_right(error, topic)
        step = next_step(error)
        if step is NextStep.NEW_CLIENT or (step is NextStep.FENCED and error.fatal()):
            raise NewClient(error.str())

    def _refused(self, error: KafkaError) -> NoReturn:
        self._raise_for_right(error, "")
        match next_step(error):
            case NextStep.FENCED:
                raise Lost(error.str())
            case NextStep.NEW_CLIENT:
                raise NewClient(error.str())
        raise Again(error.str())

    def _raise(self, error: KafkaError) -> NoReturn:
        """Raise what an error of a question means."""
        self._raise_for_right(error, "")
        if next_step(error) is NextStep.NEW_CLIENT:
            raise NewClient(error.str())
        self._consumer.poll(0)  # hands over why the connection failed
        seen = "; ".join(dict.fromkeys([error.str(), *self._reasons]))
        raise BrokerUnavailable(no_answer(self._plan.settings.kafka, seen))

    def _raise_for_right(self, error: KafkaError, topic: str) -> None:
        kafka = self._plan.settings.kafka
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise RightMissing(kafka, [f"Read on Group {self._plan.membership.group}"])
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            topics = [topic] if topic else list(self._plan.selection.topics)
            raise RightMissing(kafka, [f"Read on Topic {name}" for name in topics])
        raise_for_person(error, f"what {self._plan} asks for")
