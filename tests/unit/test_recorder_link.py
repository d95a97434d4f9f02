"""The link to Kafka, on a client that batches: a record is not refused for the size of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from confluent_kafka import KafkaError

from runbus.kafka.settings import KafkaSettings
from runbus.recorder import link as link_module
from runbus.recorder.link import Link, ProducerRecord
from runbus.recorder.settings import CourierSettings

LIMIT = 100


class FakeMessage:
    """What a client tells of a record with its outcome."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        """Return the record's value."""
        return self._value


class BatchingProducer:
    """A client of a broker that takes batches of at most LIMIT bytes; each poll settles the oldest batch."""

    def __init__(self, made: list[BatchingProducer], options: Mapping[str, object]) -> None:
        self._most = options.get("batch.num.messages", 3)
        self._waiting: list[tuple[bytes, Callable[[KafkaError | None, FakeMessage], None]]] = []
        self.taken: list[bytes] = []
        made.append(self)

    def __len__(self) -> int:
        """Return how many records are not settled."""
        return len(self._waiting)

    def produce(
        self, _topic: str, value: bytes, on_delivery: Callable[[KafkaError | None, FakeMessage], None], **_: object
    ) -> None:
        """Take a record."""
        self._waiting.append((value, on_delivery))

    def poll(self, _timeout: float) -> None:
        """Send one batch."""
        assert isinstance(self._most, int)
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        fits = sum(len(value) for value, _ in batch) <= LIMIT
        self.taken += [value for value, _ in batch if fits]
        for value, on_delivery in batch:
            on_delivery(None if fits else KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), FakeMessage(value))

    def purge(self) -> None:
        """Be closed, with nothing in it."""
        assert not self._waiting


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[BatchingProducer]:
    """Return the clients that the link makes, the newest last."""
    made: list[BatchingProducer] = []

    def make(_kafka: KafkaSettings, options: Mapping[str, object]) -> BatchingProducer:
        return BatchingProducer(made, options)

    monkeypatch.setattr(link_module, "new_recorder_producer", make)
    return made


def test_only_what_is_too_large_by_itself_is_refused(clients: list[BatchingProducer]) -> None:
    """The others of its batch are sent again, alone and in order, when the first client has settled what it had."""
    link = Link(CourierSettings(KafkaSettings("127.0.0.1:1")))
    outcomes: list[tuple[int, str, int]] = []

    def send(size: int) -> bool:
        def done(error: KafkaError | None, value: bytes) -> None:
            outcomes.append((size, error.name() if error else "", len(value)))

        return link.send(ProducerRecord("runs", b"key", b"x" * size, done))

    assert all(send(size) for size in (10, 300, 20, 30, 40))
    link.poll(0)
    assert outcomes == []
    assert not send(50)  # nothing new goes to a client that is about to go
    while len(outcomes) < 5:
        link.poll(0)
    assert outcomes == [(30, "", 0), (40, "", 0), (10, "", 0), (300, "MSG_SIZE_TOO_LARGE", 300), (20, "", 0)]
    assert send(50)
    link.poll(0)
    assert [[len(value) for value in client.taken] for client in clients] == [[30, 40], [10, 20, 50]]
