"""A reader that is slow keeps its partitions, its memory within bounds, and says how far behind it is."""

from __future__ import annotations

import time

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.reader import Reader
from tests.integration.reader.log import Log, batch, seqs, take
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let readers keep 1 MiB, and pause soon."""
    monkeypatch.setenv("RUNBUS_READER_BUFFER_MB", "1")
    monkeypatch.setattr("runbus.reader.fetcher._HOLD_AFTER_S", 0.1)
    return 2**20


def test_a_full_buffer_pauses_and_nothing_is_lost(settings: KafkaSettings, log: Log, small_buffer: int) -> None:
    """While nobody takes anything no more is fetched; afterwards every step comes, in order, without a gap."""
    agents = [f"agent-{n}" for n in range(6)]
    log.batches(*[batch(500 * n, 500, agent=agent) for n in range(40) for agent in agents])  # 20 KB each
    with Reader("slow", settings=settings) as reader:
        first = take(reader, 1)
        until("it pauses", lambda: bool(reader.stats()["paused"]), 30)
        lag = reader.lag()
        assert lag.events == 240 - 1
        assert all(one.milliseconds > 0 for one in lag.partitions.values() if one.events)
        assert small_buffer <= reader.stats()["buffered"] < 2.5 * small_buffer
        events = [*first, *take(reader, 239)]
        for agent in agents:
            assert seqs(e for e in events if e.at.key.endswith(agent.encode())) == list(range(20_000))
        reader.commit()
        assert reader.lag().events == 0
        assert not reader.stats()["paused"]


def test_a_reader_that_does_nothing_for_long_is_still_a_member(
    settings: KafkaSettings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the session (6 s) its partitions are still its own, and its commit is taken."""
    monkeypatch.setenv("RUNBUS_READER_SESSION_SECONDS", "6")
    log.batches(batch(0))
    with Reader("idle", settings=settings) as reader:
        take(reader, 1)
        begin = time.monotonic()
        until("a session and a half has passed", lambda: time.monotonic() - begin > 9)
        assert sum(reader.commit().values()) == 1
        log.batches(batch(4))
        assert seqs(take(reader, 1)) == [4, 5, 6, 7]


def test_lag_is_the_age_of_the_next_record_and_grows_while_nothing_moves(settings: KafkaSettings, log: Log) -> None:
    """Events and milliseconds, for each partition and in all; 0 once everything was returned."""
    log.batches(batch(0), batch(4))
    with Reader("lagging", settings=settings) as reader:
        written_ms = take(reader, 1)[0].at.timestamp_ms
        lags = [reader.lag()]
        until("time passes", lambda: time.time_ns() // 1_000_000 > written_ms + 2_000)
        lags.append(reader.lag())
        assert [lag.events for lag in lags] == [1, 1]
        assert lags[1].milliseconds > max(lags[0].milliseconds, 1_500)
        assert len(lags[0].partitions) == 3
        assert sum(one.events for one in lags[0].partitions.values()) == 1
        take(reader, 1)
        found = reader.lag()
        assert (found.events, found.milliseconds) == (0, 0)
