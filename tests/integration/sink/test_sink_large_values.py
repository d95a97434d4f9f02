"""Values that are larger than a range, and than a dead letter may be: none is skipped, and none is a full stop."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from confluent_kafka import Message

from runbus.kafka.topics import MIB
from tests.integration.dead_letters.dlq_command import Dlq, letters
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, make_batch, widened
from tests.integration.sink.test_sink_poison import read_all
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SMALL = 8  # steps


def large(feed: Feed, first: int, mib: float) -> bytes:
    """Return a value of that size: 64 steps of wide float64 observations."""
    return feed.value(widened(make_batch(feed.run, "large", first, 64), int(mib * MIB / 64 / 8)))


@pytest.fixture
def wide_feed(feed: Feed) -> Feed:
    """Return a feed whose topic takes values of up to 20 MiB, because somebody raised its limit."""
    feed.raise_limit(20 * MIB)
    return feed


def test_a_good_value_is_stored_and_a_bad_one_is_a_dead_letter(
    wide_feed: Feed, sinks: Sinks, tables: Tables, tmp_path: Path
) -> None:
    """One partition, small values around large ones: what no dead letter can hold is shortened, and says so."""
    feed = wide_feed
    whole = [large(feed, 0, 4.5), large(feed, 0, 6), large(feed, 0, 17)]
    poison = [value[:-1] for value in whole]
    values = [large(feed, 0, 17), *poison, b"\x00\x00\x00"]
    for number, value in enumerate(values):
        feed.send("steps", b"key", feed.value(make_batch(feed.run, "small", number * SMALL, SMALL)), partition=1)
        feed.send("steps", b"key", value, partition=1)
    feed.produced |= {"small": SMALL * len(values), "large": 64}
    feed.flush()
    process = sinks.start()
    tables.wait(feed)
    until("all are dead letters", lambda: len(read_all(feed, "dead-letters")) == len(values) - 1)
    tables.check(feed)
    _is_what_was_sent(tables, feed)
    fits, *shortened, last = (_letter(message) for message in read_all(feed, "dead-letters"))
    assert (fits[0], last[0]) == (poison[0], values[-1])
    assert "size" not in fits[1]
    assert "size" not in last[1]
    for (value, headers), original in zip(shortened, poison[1:], strict=True):
        assert value == original[: 64 * 1024]
        assert headers["size"] == str(len(original))
        assert headers["sha256"] == sha256(original).hexdigest()
        assert headers["error"]
    topic = feed.settings.topic_prefix + "steps"
    until("the letters are stored", lambda: letters(tables, topic) == len(values) - 1)
    assert sinks.stop(process) == 0
    results = Dlq(sinks.env, tmp_path).results("--all", "--topic", topic, code=1)
    assert list(results.values()) == ["dead", "refused", "refused", "dead"]


def _letter(message: Message) -> tuple[bytes, dict[str, str]]:
    value, headers = message.value(), dict(message.headers() or [])
    assert isinstance(value, bytes)
    return value, {name: str(text, "utf-8") if isinstance(text, bytes) else str(text) for name, text in headers.items()}


def _is_what_was_sent(tables: Tables, feed: Feed) -> None:
    query = (
        "SELECT countIf(length(observation) = {width:UInt64} AND arrayAll(x -> x = seq, observation)) "
        "FROM steps WHERE run_id = {run:String} AND agent_id = 'large'"
    )
    assert tables.one(query, run=feed.run, width=17 * MIB // 64 // 8) == 64
