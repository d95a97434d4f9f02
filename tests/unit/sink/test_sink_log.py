"""Sorts the consumer's errors by their meaning for a commit."""

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from runbus.config.errors import RunBusError
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import DeadLetter, Fenced, LogUnavailable, Record, TopicIdPartition, TopicPartition
from runbus.sink.group import Restart
from runbus.sink.log import KafkaLog, KafkaMember, _raise_or_log


class Refusing:
    """A consumer whose every commit fails in one way."""

    def __init__(self, code: int) -> None:
        self._code = code

    def commit(self, **_: object) -> list[ClientPartition]:
        """Refuse."""
        raise KafkaException(KafkaError(self._code))

    def close(self) -> None:
        """Do nothing."""


async def _commit(code: int) -> None:
    member = KafkaMember(Refusing(code), frozenset())  # type: ignore[arg-type]  # what a commit needs of a consumer
    try:
        await member.commit(TopicPartition("steps", 0), 5, Intent("id"))
    finally:
        await member.close()


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (KafkaError.UNKNOWN_MEMBER_ID, Fenced),
        (KafkaError.FENCED_INSTANCE_ID, Fenced),
        (KafkaError.FENCED_MEMBER_EPOCH, Fenced),
        (KafkaError._FENCED, Fenced),
        (KafkaError._ASSIGNMENT_LOST, Fenced),
        (KafkaError._DESTROY, Fenced),  # the client is being closed: asked again it says the same
        (KafkaError.ILLEGAL_GENERATION, LogUnavailable),  # a rebalance goes on: the same commit again
        (KafkaError.STALE_MEMBER_EPOCH, LogUnavailable),
        (KafkaError._DESTROY_BROKER, LogUnavailable),  # one broker left the cluster
        (KafkaError._TRANSPORT, LogUnavailable),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, LogUnavailable),
        (KafkaError.NOT_COORDINATOR, LogUnavailable),
        (KafkaError._FATAL, Restart),  # asked again, the same client says the same for ever
        (KafkaError._STATE, Restart),
        (9_999, Restart),  # a broker that is newer than the client
        (KafkaError.GROUP_AUTHORIZATION_FAILED, RunBusError),
    ],
)
def test_a_refused_commit_is_over_or_made_again(code: int, meaning: type[Exception]) -> None:
    """Where the member owns nothing any more it is Fenced; everything else may be asked again."""
    with pytest.raises(meaning):
        asyncio.run(_commit(code))


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (KafkaError(KafkaError._AUTO_OFFSET_RESET), Restart),
        (KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), Restart),  # a topic that is read: it may be created again
        (KafkaError(KafkaError._FATAL), Restart),  # as a message it does not call itself fatal
        (KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", fatal=True), Restart),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), RunBusError),
    ],
)
def test_a_read_that_ends_a_membership(error: KafkaError, meaning: type[Exception]) -> None:
    """A new one finds everything in the log, or a person has to act."""
    with pytest.raises(meaning):
        _raise_or_log(error, "steps")


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._AUTHENTICATION,  # a password is being changed
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_MEMBER_EPOCH,  # the client joins again by itself
    ],
)
def test_a_read_that_passes_by_itself_ends_nothing(code: int) -> None:
    """The client connects, asks and joins again on its own threads."""
    _raise_or_log(KafkaError(code), "steps")


class GaveUp:
    """A producer that refuses whatever it is given, in one way."""

    def __init__(self, code: int) -> None:
        self._code = code

    def produce(self, *_: object, **__: object) -> None:
        """Refuse."""
        raise KafkaException(KafkaError(self._code))

    def poll(self, _: float) -> None:
        """Do nothing."""

    def flush(self, _: float) -> int:
        """Do nothing."""
        return 0


@pytest.mark.parametrize(
    ("code", "producers"), [(KafkaError._FATAL, 2), (KafkaError._QUEUE_FULL, 1), (KafkaError._MSG_TIMED_OUT, 1)]
)
def test_a_producer_that_gave_up_is_replaced(code: int, producers: int) -> None:
    """Dead letters and heartbeats alike: the same producer would refuse them for ever."""
    made: list[GaveUp] = []

    def new_producer() -> GaveUp:
        made.append(GaveUp(code))
        return made[-1]

    async def story() -> None:
        log = KafkaLog(new_producer, "dead-letters")  # type: ignore[arg-type]  # what it needs of a producer
        letter = DeadLetter("sink", TopicIdPartition("steps", "id", 0), Record(0, 0, b"v", b"k"), "why", "")
        with pytest.raises(LogUnavailable):
            await log.dead_letter(letter)
        await log.close(1.0)

    asyncio.run(story())
    assert len(made) == producers


def test_a_right_that_is_taken_away_ends_the_sink() -> None:
    """As it does for what the sink reads: the partition would wait for ever, and /ready would not say for whom."""

    async def story() -> None:
        log = KafkaLog(lambda: GaveUp(KafkaError.TOPIC_AUTHORIZATION_FAILED), "dead-letters")  # type: ignore[arg-type, return-value]  # what it needs of a producer
        letter = DeadLetter("sink", TopicIdPartition("steps", "id", 0), Record(0, 0, b"v", b"k"), "why", "")
        with pytest.raises(RunBusError, match=r"Write on Topic dead-letters.*runbus topics apply"):
            await log.dead_letter(letter)
        await log.close(1.0)

    asyncio.run(story())
