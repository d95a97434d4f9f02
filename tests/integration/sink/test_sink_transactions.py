"""A topic that is written in transactions: markers and aborted records hold offsets that the sink never sees."""

import random
import signal
import subprocess
from functools import partial

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.kafka.commit_metadata import Intent
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized
from tests.integration.sink.probing import Pages, start
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.integration.sink.test_sink_delivery import committed
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


class Finaliser:
    """Writes episodes in transactions to partition 0, as the episodes app does."""

    def __init__(self, feed: Feed, name: str = "0") -> None:
        self.run = feed.run
        self.topic = feed.settings.topic_prefix + "episodes"
        self.committed: list[str] = []
        self.end = 0
        self._open: list[str] = []
        self._made = 0
        self._name = name
        self._producer = Producer(
            {**feed.settings.client_config(), "transactional.id": f"{self.topic}-{name}", "linger.ms": 1}
        )
        self._producer.init_transactions(30)

    def write(self, count: int) -> None:
        """Begin a transaction with some episodes; they are on the log when this returns."""
        self._producer.begin_transaction()
        for _ in range(count):
            self._open.append(f"e{self._name}-{self._made}")
            self._made += 1
            value = Codec().frame(self.topic, schema("EpisodeFinalized"), _episode(self.run, self._open[-1]).encode())
            self._producer.produce(self.topic, key=b"k", value=value, partition=0)
        assert self._producer.flush(30) == 0

    def commit(self) -> None:
        """Commit it: a marker follows its records."""
        self._producer.commit_transaction(30)
        self.committed += self._open
        self.end += len(self._open) + 1
        self._open = []

    def abort(self) -> None:
        """Abort it: a marker follows its records."""
        self._producer.abort_transaction(30)
        self.end += len(self._open) + 1
        self._open = []


def _episode(run: str, name: str) -> EpisodeFinalized:
    return EpisodeFinalized(
        id=name, revision=0, run_id=run, agent_id="a", attempt=1, env=0, episode=0, reason="terminated", complete=True,
        missing_from=[], missing_to=[], return_=1.5, length=2, first_seq=0, last_seq=2, first_ts=1, last_ts=2,
        min_reward=0.0, max_reward=1.0,
    )  # fmt: skip


def stored(tables: Tables, finaliser: Finaliser) -> list[str]:
    """Return the id of each stored row, those stored twice twice."""
    query = "SELECT id FROM episodes WHERE run_id = {run:String}"
    return [row[0] for row in tables.client.query(query, parameters={"run": finaliser.run}).result_rows]


def is_stored(tables: Tables, finaliser: Finaliser) -> bool:
    """Return whether every committed episode has a row."""
    return len(stored(tables, finaliser)) >= len(finaliser.committed)


def caught_up(pages: Pages, finaliser: Finaliser) -> bool:
    """Return whether the sink says that it has no lag on the topic."""
    return pages.value("runbus_lag_events", topic=finaliser.topic, partition="0") == 0


def positions(feed: Feed, finaliser: Finaliser) -> tuple[int, bool]:
    """Return what the group committed for the partition: offset, and whether a range is pending."""
    (part,) = (part for part in committed(feed, "episodes") if part.partition == 0)
    intent = Intent.decode(part.metadata)
    return part.offset, intent is not None and intent.pending


def wait_until_done(feed: Feed, pages: Pages, finaliser: Finaliser) -> None:
    """Wait until the sink is past the last marker, by its own word and by its commit."""
    until("no lag", partial(caught_up, pages, finaliser))
    until("the commit is past the marker", lambda: positions(feed, finaliser) == (finaliser.end, False))


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_committed_events_are_stored_once_and_aborted_ones_never(
    feed: Feed, sinks: Sinks, tables: Tables, protocol: str
) -> None:
    """The lag returns to 0 behind a marker of a commit and of an abort, with and without records before it."""
    finaliser = Finaliser(feed)
    finaliser.write(3)
    finaliser.commit()
    process, pages = start(sinks, group_protocol=protocol)
    until("the first transaction is stored", partial(is_stored, tables, finaliser))
    wait_until_done(feed, pages, finaliser)
    finaliser.write(4)
    finaliser.abort()
    wait_until_done(feed, pages, finaliser)
    for outcome in (finaliser.commit, finaliser.abort, finaliser.commit, finaliser.abort):
        finaliser.write(2)
        outcome()
    until("all are stored", partial(is_stored, tables, finaliser))
    wait_until_done(feed, pages, finaliser)
    assert pages.value("runbus_dead_letters_total") == 0
    assert sinks.stop(process) == 0
    assert sorted(stored(tables, finaliser)) == sorted(finaliser.committed)


def test_an_open_transaction_is_no_lag(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Its records cannot be read by anybody yet, nor what stands behind them; then both are stored."""
    first, second = Finaliser(feed, "first"), Finaliser(feed, "second")
    process, pages = start(sinks)
    first.write(2)
    second.write(2)
    second.commit()  # behind the records of the open one
    seen = beats(tables, feed)
    until("it looked at the log again", lambda: beats(tables, feed) >= seen + 3)
    assert caught_up(pages, first)
    assert stored(tables, first) == []
    first.commit()
    until("both are stored", lambda: len(stored(tables, first)) >= 4)
    until("no lag", partial(caught_up, pages, first))
    assert sinks.stop(process) == 0
    assert sorted(stored(tables, first)) == sorted(first.committed + second.committed)


def beats(tables: Tables, feed: Feed) -> int:
    """Return how many heartbeats are stored of sinks that own the partition of this test."""
    query = "SELECT count() FROM heartbeats WHERE kind = 'sink' AND mapContains(last_seq_id, {key:String})"
    return int(str(tables.one(query, key=f"{feed.settings.topic_prefix}episodes:0")))


@pytest.mark.faults
def test_a_sink_that_is_killed_between_transactions(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Six SIGKILLs at random moments among commits and aborts: each event once, and no lag at the end."""
    finaliser, rng = Finaliser(feed), random.Random(11)
    process: subprocess.Popen[bytes] | None = None
    for _ in range(6):
        process, pages = start(sinks, instance_id="phoenix")
        goal = len(finaliser.committed) + rng.randrange(1, 40)
        while len(finaliser.committed) < goal:
            finaliser.write(rng.randrange(1, 6))
            (finaliser.commit if rng.random() < 0.6 else finaliser.abort)()
        some = rng.randrange(1, len(finaliser.committed) + 1)
        until("it stores some", lambda some=some: len(stored(tables, finaliser)) >= some)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
    finaliser.write(3)
    finaliser.abort()
    process, pages = start(sinks, instance_id="phoenix")
    until("all are stored", partial(is_stored, tables, finaliser))
    wait_until_done(feed, pages, finaliser)
    until("it is ready", pages.ready)
    assert sinks.stop(process) == 0
    assert sorted(stored(tables, finaliser)) == sorted(finaliser.committed)


@pytest.mark.parametrize("outcome", ["commit", "abort"])
def test_retention_of_a_trailing_marker_is_no_loss(feed: Feed, sinks: Sinks, tables: Tables, outcome: str) -> None:
    """The whole log is deleted after it was stored, its markers too: the next sink misses nothing and goes on."""
    finaliser = Finaliser(feed)
    finaliser.write(3)
    finaliser.commit()
    finaliser.write(2)
    getattr(finaliser, outcome)()
    process, pages = start(sinks)
    until("all are stored", partial(is_stored, tables, finaliser))
    wait_until_done(feed, pages, finaliser)
    assert sinks.stop(process) == 0
    admin = AdminClient({**feed.settings.client_config()})
    for future in admin.delete_records([TopicPartition(finaliser.topic, 0, finaliser.end)]).values():
        future.result(30)
    process, pages = start(sinks)
    finaliser.write(2)
    finaliser.commit()
    until("all are stored", partial(is_stored, tables, finaliser))
    wait_until_done(feed, pages, finaliser)
    assert pages.value("runbus_skipped_offsets_total") == 0
    assert sinks.stop(process) == 0
    assert sorted(stored(tables, finaliser)) == sorted(finaliser.committed)


def test_a_replay_of_a_range_with_aborted_records_counts_only_what_can_be_read(
    feed: Feed, sinks: Sinks, tables: Tables
) -> None:
    """An owner died after its insert; the next one counts the range, markers inside, and repairs nothing."""
    finaliser = Finaliser(feed)
    for outcome in (finaliser.commit, finaliser.abort, finaliser.commit):
        finaliser.write(2)
        outcome()
    process, pages = start(sinks)
    until("all are stored", partial(is_stored, tables, finaliser))
    wait_until_done(feed, pages, finaliser)
    assert sinks.stop(process) == 0
    announce_again(feed, finaliser)
    process, pages = start(sinks)
    wait_until_done(feed, pages, finaliser)
    assert "sink.repair" not in sinks.log()
    assert sinks.stop(process) == 0
    assert sorted(stored(tables, finaliser)) == sorted(finaliser.committed)


def announce_again(feed: Feed, finaliser: Finaliser) -> None:
    """Commit the intent of the partition's whole log, up to its last record, as an owner that died left it."""
    group = f"{feed.settings.topic_prefix}sink"
    consumer = Consumer({**feed.settings.client_config(), "group.id": group, "enable.auto.commit": False})
    (part,) = (part for part in committed(feed, "episodes") if part.partition == 0)
    intent = Intent.decode(part.metadata)
    assert intent is not None
    pending = Intent(intent.topic_id, finaliser.end - 2, "salt")
    consumer.commit(offsets=[TopicPartition(finaliser.topic, 0, 0, metadata=pending.encode())], asynchronous=False)
    consumer.close()
