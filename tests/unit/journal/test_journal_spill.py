"""What the queue has no room for comes back from the journal: every row, once, in order."""

import itertools
import logging
from pathlib import Path
from typing import Any

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.recorder import RunBus
from runbus.recorder.courier import Courier
from runbus.recorder.events import StepsRecorded
from runbus.recorder.journal.folder import segments
from runbus.recorder.journal.reading import survey
from runbus.recorder.journal.settled import Settled
from runbus.recorder.journal.spill import Spilled
from runbus.recorder.link import ProducerRecord
from runbus.recorder.settings import CourierSettings
from runbus.schemas.batch import decode
from runbus.schemas.codec import Codec
from tests.support.journals import seqs, step, stream_in


class Broker:
    """A link to a broker that is away until it is told otherwise; takes everything then, at the next poll."""

    address = "nowhere"
    connecting = False

    def __init__(self) -> None:
        self.up: bool = False
        self.taken: list[ProducerRecord] = []
        self._waiting: list[ProducerRecord] = []
        self._offsets = itertools.count()

    @property
    def connected(self) -> bool:
        """Whether there is a broker."""
        return self.up

    def need(self, topic: str) -> None:
        """Have every topic."""

    def ready(self) -> bool:
        """Whether there is a broker."""
        return self.up

    def send(self, record: ProducerRecord) -> bool:
        """Take a record."""
        self._waiting.append(record)
        return True

    def poll(self, _timeout: float) -> None:
        """Acknowledge what was taken."""
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self.taken.append(record)
            if record.placed is not None:
                record.placed(0, next(self._offsets))
            record.delivered(None, b"")

    def close(self) -> None:
        """Nothing is open."""

    def seqs(self) -> list[int]:
        """Return the seqs that arrived, in order."""
        batches = [decode(Codec().open(r.value, "StepBatch")[1]) for r in self.taken if r.topic.endswith("steps")]
        return [seq for b in batches for seq in range(b.header.first_seq, b.header.next_seq)]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
@pytest.mark.parametrize("mode", ["step", "batch"])
def test_an_outage_longer_than_the_queue_loses_nothing(tmp_path: Path, policy: Any, mode: str) -> None:
    """A queue of 100 KB, an outage of 1 MB: all rows arrive once in order, with others that come meanwhile."""
    bus, broker = RunBus(), Broker()
    courier = Courier(bus, CourierSettings(KafkaSettings("127.0.0.1:1"), queue_bytes=100_000, policy=policy))
    courier._link = broker  # type: ignore[assignment]
    stream, published = stream_in(tmp_path, mode)
    stream._publish = lambda batch: bus.publish(batch, events=batch.count, nbytes=batch.nbytes)
    for n in range(8000):
        step(stream, n)
    waiting = bus.stats()["kafka"]
    assert waiting.waiting_bytes <= 100_000
    assert stream.counts.dropped == 0
    assert not published
    assert not courier.idle
    broker.up = True
    while courier._subscription.unfinished:
        courier._turn()
        assert len(courier._out) <= 2 * 64
        if stream.produced < 20_000:  # what comes while the journal is read
            for n in range(1500):
                step(stream, n)
        else:
            stream.close()
    total = stream.produced
    assert broker.seqs() == list(range(total))
    assert (stream.counts.delivered, stream.counts.dropped, stream.counts.in_flight) == (total, 0, 0)
    ack = survey(stream.journal.path).ack
    assert ack is not None
    assert ack.next_seq == total
    assert courier.flush(0)


def test_rows_that_the_journal_has_lost_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody deleted its segment: the rows count as dropped, and the courier is idle in the end."""
    bus, broker = RunBus(), Broker()
    courier = Courier(bus, CourierSettings(KafkaSettings("127.0.0.1:1"), queue_bytes=50_000))
    courier._link = broker  # type: ignore[assignment]
    stream, _ = stream_in(tmp_path, "batch")
    stream._publish = lambda batch: bus.publish(batch, events=batch.count, nbytes=batch.nbytes)
    for n in range(256 * 10):
        step(stream, n)
    for path in segments(stream.journal.path):
        path.unlink()
    broker.up = True
    with caplog.at_level(logging.ERROR):
        while not courier.idle:
            courier._turn()
    assert stream.counts.dropped > 0
    assert stream.counts.delivered + stream.counts.dropped == 256 * 10
    assert broker.seqs() == list(range(stream.counts.dropped, 256 * 10))
    assert any("cannot be read from the journal" in r.getMessage() for r in caplog.records)


def test_a_stretch_that_grows_while_it_is_read(tmp_path: Path) -> None:
    """Batches that spill behind the reader's last segment are found by another look."""
    stream, published = stream_in(tmp_path, "batch")
    spilled = Spilled()
    given: list[StepsRecorded] = []

    def spill(count: int) -> None:
        for n in range(count * 256):
            step(stream, n)
        for batch in published:
            spilled.add(batch)
        published.clear()

    spill(3)
    given += spilled.fetch(2).batches
    spill(3)
    while spilled:
        found = spilled.fetch(2)
        assert not found.lost
        given += found.batches
    assert seqs(given) == list(range(6 * 256))


def test_settled_has_no_holes() -> None:
    """An ack waits for what is missing below it; its offset is the lowest of the records that moved it."""
    settled = Settled()
    assert not settled.add(10, 10, dropped=False, partition=1, offset=5)
    assert settled.add(0, 10, dropped=False, partition=1, offset=9)
    assert settled.ack == (1, 5, 20, 0)
    assert settled.add(20, 4, dropped=True)
    assert settled.ack == (1, 5, 24, 4)
    assert settled.add(24, 1, dropped=False, partition=7, offset=0)
    assert settled.ack == (7, 0, 25, 4)
