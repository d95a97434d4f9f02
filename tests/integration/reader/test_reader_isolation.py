"""Invariant I5 for readers: whatever becomes of one, the position of every other stays its own. On a real broker."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable

import pytest
from confluent_kafka import TopicPartition

from runbus.kafka.clients import new_offsets_reader
from runbus.kafka.settings import KafkaSettings
from runbus.reader import Reader, TakenOver
from tests.integration.reader.log import Log, batch, seqs, take
from tests.support.waiting import until

pytestmark = pytest.mark.integration

#: Reads some events, says so, and then does what its line says.
NEIGHBOUR = """
    import sys, time
    from runbus.reader import Reader
    reader = Reader(sys.argv[1], instance="0")
    reader.poll(60)
    reader.commit()
    reader.poll(60)
    print("read", flush=True)
    {then}
"""


def committed(settings: KafkaSettings, name: str) -> int:
    """Return how many records the cursor of a name has passed, in all partitions."""
    consumer = new_offsets_reader(settings, f"{settings.topic_prefix}reader.{name}")
    try:
        asked = [TopicPartition(f"{settings.topic_prefix}steps", p) for p in range(3)]
        return sum(max(0, part.offset) for part in consumer.committed(asked, timeout=20))
    finally:
        consumer.close()


@pytest.mark.parametrize(
    ("what", "then"),
    [
        ("slow", "time.sleep(600)"),
        ("stopped", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"),
        ("crashed", "import os; os._exit(7)"),
    ],
)
def test_a_neighbour_changes_no_position_but_its_own(
    settings: KafkaSettings, log: Log, script: Callable[..., subprocess.Popen[str]], what: str, then: str
) -> None:
    """Beside a reader that is slow, stopped or dead another one reads everything, and their cursors stay apart."""
    log.batches(*[batch(4 * n) for n in range(10)])
    neighbour = script(NEIGHBOUR.format(then=then), what)
    assert neighbour.stdout is not None
    assert neighbour.stdout.readline() == "read\n"
    if what == "crashed":
        assert neighbour.wait(20) == 7
    log.batches(*[batch(4 * n) for n in range(10, 20)])
    with Reader("steady", settings=settings) as reader:
        assert seqs(take(reader, 20)) == list(range(80))
        reader.commit()
        assert reader.lag().events == 0
    assert committed(settings, "steady") == 20
    assert committed(settings, what) == 1
    if what == "stopped":
        neighbour.send_signal(signal.SIGCONT)
    if what != "crashed":
        neighbour.kill()
        neighbour.wait(20)
    with Reader(what, instance="0", settings=settings) as reader:  # goes on where its own cursor is
        assert seqs(take(reader, 19)) == list(range(4, 80))


def test_a_hundred_readers_at_once_read_the_same(settings: KafkaSettings, log: Log) -> None:
    """Half with a name and half without, in one process: each gets every step once, at its own pace."""
    log.batches(*[batch(4 * n) for n in range(10)])
    readers = [
        Reader(f"r-{n}" if n % 2 else None, start="beginning" if n % 2 == 0 else None, settings=settings)
        for n in range(100)
    ]
    found: dict[int, list[int]] = {}

    def read(number: int) -> None:
        with readers[number] as reader:
            found[number] = seqs(take(reader, 10 - number % 3))
            if number % 2:
                reader.commit()

    threads = [threading.Thread(target=read, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: list(range(4 * (10 - n % 3))) for n in range(100)}
    for number in (1, 3, 5):
        assert committed(settings, f"r-{number}") == 10 - number % 3


def test_two_readers_of_a_name_share_and_one_takes_over(settings: KafkaSettings, log: Log) -> None:
    """Both together have every partition once; what one leaves the other goes on with, at the cursor."""
    agents = [f"agent-{n}" for n in range(12)]
    log.batches(*[batch(0, agent=agent) for agent in agents])
    with Reader("shared", settings=settings) as first:
        assert len({e.at for e in take(first, 12)}) == 12
        first.commit()
        with Reader("shared", settings=settings) as second:
            second.poll(0)
            until("it has its share", lambda: second.poll(0.01) is None and bool(second.positions), 30)
            assert not set(first.positions) & set(second.positions)
            log.batches(*[batch(4, agent=agent) for agent in agents])
            mine = take(second, 1)
            second.commit()
        until("the other has them again", lambda: len(first.positions) == 3, 30)
        assert len({e.at for e in [*mine, *take(first, 12 - len(mine))]}) == 12
        assert first.poll(0.2) is None


def test_a_reader_of_the_same_instance_takes_over_and_the_other_hears_it(settings: KafkaSettings, log: Log) -> None:
    """Two processes of one name and instance cannot both go on: the older one ends with one sentence."""
    log.batches(batch(0))
    with Reader("one", instance="0", settings=settings) as older:
        take(older, 1)
        with Reader("one", instance="0", settings=settings) as newer:
            assert seqs(take(newer, 1)) == [0, 1, 2, 3]
            with pytest.raises(TakenOver, match="give each process an instance of its own"):
                take(older, 1)
            assert sum(newer.commit().values()) == 1
