"""What the consumer's errors mean for a commit."""

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import Fenced, LogUnavailable, TopicPartition
from runbus.sink.log import KafkaMember


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
    ],
)
def test_a_refused_commit_is_over_or_made_again(code: int, meaning: type[Exception]) -> None:
    """Where the member owns nothing any more it is Fenced; everything else may be asked again."""
    with pytest.raises(meaning):
        asyncio.run(_commit(code))
