"""What each error of librdkafka means to a reader: by what its user does next."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from runbus.config.errors import RunBusError
from runbus.kafka.errors import BrokerUnavailable, RightMissing
from runbus.reader.client import Again, Came, LogClient, Lost, NewClient
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.errors import TakenOver
from tests.unit.reader.fakes import PLACE, plan


class FakeMessage:
    """What the client hands out in place of a record."""

    def __init__(self, error: KafkaError, offset: int = 7) -> None:
        self._error, self._offset = error, offset

    def error(self) -> KafkaError:
        """Return the error."""
        return self._error

    def topic(self) -> str:
        """Return its topic."""
        return PLACE.topic

    def partition(self) -> int:
        """Return its partition."""
        return PLACE.partition

    def offset(self) -> int:
        """Return where reading ends, or failed."""
        return self._offset


@pytest.fixture
def client() -> LogClient:
    """Return a client that has a partition, and connects to nothing."""
    return LogClient(plan(), {PLACE: PartitionCursor(PLACE, Handed(0), 0)}, lambda: False, lambda: None)


FENCED = KafkaError(
    KafkaError._FATAL, "Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id"
)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KafkaError(KafkaError._TRANSPORT), None),
        (KafkaError(KafkaError._ALL_BROKERS_DOWN), None),
        (KafkaError(KafkaError._MAX_POLL_EXCEEDED), None),
        (KafkaError(KafkaError.UNKNOWN_MEMBER_ID), None),  # it joins again by itself
        (KafkaError(KafkaError._FATAL, "something else"), NewClient),
        (FENCED, TakenOver),
        (KafkaError(KafkaError.FENCED_INSTANCE_ID), TakenOver),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), RightMissing),
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), RightMissing),
        (KafkaError(KafkaError.UNSUPPORTED_VERSION), RunBusError),
    ],
    ids=str,
)
def test_an_error_while_reading(client: LogClient, error: KafkaError, raised: type[Exception] | None) -> None:
    """The client goes on by itself, a new one is needed, or a person is told what to do."""
    came = Came([], {}, [])
    if raised is None:
        client._remark(FakeMessage(error), came)  # type: ignore[arg-type]
    else:
        with pytest.raises(raised):
            client._remark(FakeMessage(error), came)  # type: ignore[arg-type]
    assert came == ([], {}, [])


def test_remarks_about_a_partition_are_sorted(client: LogClient) -> None:
    """Its end, and an offset that is not in the log; of a partition that went away nothing is said."""
    came = Came([], {}, [])
    client._remark(FakeMessage(KafkaError(KafkaError._PARTITION_EOF)), came)  # type: ignore[arg-type]
    client._remark(FakeMessage(KafkaError(KafkaError._AUTO_OFFSET_RESET)), came)  # type: ignore[arg-type]
    assert came == ([], {PLACE: 7}, [PLACE])


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KafkaError(KafkaError.REBALANCE_IN_PROGRESS), Again),
        (KafkaError(KafkaError.ILLEGAL_GENERATION), Again),
        (KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE), Again),
        (KafkaError(KafkaError._TIMED_OUT), Again),
        (KafkaError(KafkaError.UNKNOWN_MEMBER_ID), Lost),
        (KafkaError(KafkaError._STATE), NewClient),
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), RightMissing),
    ],
    ids=str,
)
def test_an_error_of_a_commit(client: LogClient, error: KafkaError, raised: type[Exception]) -> None:
    """Make it again, drop it, or tell a person."""
    with pytest.raises(raised):
        client._refused(error)


def test_an_error_of_a_question_names_the_broker(client: LogClient) -> None:
    """And says what to do."""
    with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:1 .*KAFKA_BOOTSTRAP_SERVERS"):
        client._raise(KafkaError(KafkaError._TRANSPORT))
    with pytest.raises(RightMissing, match=r"Read on Group runbus\.reader\.gui-1"):
        client._raise(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
