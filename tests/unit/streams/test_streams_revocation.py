"""Many partitions are taken away at once while their transactions hang: one deadline for all of them."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import EPISODES_APP
from runbus.probes import server
from runbus.schemas.codec import Codec
from runbus.service import heartbeat
from runbus.streams import kafka, membership, output, ownership
from runbus.streams.api import StreamApp
from runbus.streams.engine import StreamEngine
from runbus.streams.settings import StreamSettings
from runbus.streams.start import SourceTopic

PARTITIONS = 24
GRACE_S = 0.4
SLACK_S = 1.5  # of a busy machine
SOURCE = SourceTopic("steps", "topic-1", PARTITIONS)
APP = StreamApp(EPISODES_APP, None, "transaction", 0.2)  # type: ignore[arg-type]


class Hanging:
    """A partition whose last commit hangs, unless it is told to answer."""

    def __init__(self, number: int, *, answers: bool) -> None:
        self.partition = TopicPartition("steps", number)
        self.shard = SimpleNamespace(source=f"steps:{number}")
        self.closed = self.committed = False
        self._answers = answers

    async def commit(self) -> None:
        """Commit, or wait for ever."""
        if not self._answers:
            await asyncio.Event().wait()
        self.committed = True

    async def close(self) -> None:
        """Close."""
        self.closed = True


def test_transactions_that_hang_hold_up_a_revocation_for_one_deadline_only(caplog: pytest.LogCaptureFixture) -> None:
    """Those that are answered are committed, all are closed, and the others are the next owner's to do again."""
    partitions = [Hanging(number, answers=number % 3 == 0) for number in range(PARTITIONS)]

    async def story() -> float:
        settings = StreamSettings(KafkaSettings("127.0.0.1:1"), grace_seconds=GRACE_S)
        engine = StreamEngine(APP, settings, Codec(), SOURCE)
        engine.ownership.partitions = {p.partition: p for p in partitions}  # type: ignore[misc]
        began = time.monotonic()
        await engine.ownership.revoked({p.partition for p in partitions})
        seconds = time.monotonic() - began
        assert not engine.ownership.partitions
        await engine._member.consumer.stop()
        return seconds

    assert GRACE_S / 2 < asyncio.run(story()) < GRACE_S + SLACK_S
    assert all(p.closed for p in partitions)
    assert sum(p.committed for p in partitions) == PARTITIONS / 3
    late = [record for record in caplog.records if "streams.not_committed" in record.getMessage()]
    assert len(late) == 2 * PARTITIONS / 3


def test_the_deadline_leaves_time_for_the_join_and_an_end_takes_less_than_30_s() -> None:
    """The constants keep the order that their comment gives; for the join, whatever the grace is set to."""
    closing = kafka._CLOSE_S + 2 * kafka._DROP_S
    assert ownership._LEAVE_S + closing < kafka._REBALANCE_MS / 1000 < 300
    host = heartbeat._FLUSH_S + server._CLOSE_S
    grace = StreamSettings(KafkaSettings("memory:1")).grace_seconds
    assert membership._HURRY_S + grace + closing + output._SETTLE_S + closing + host < 30
