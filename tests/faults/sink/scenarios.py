"""What is done to sinks besides killing them at random: deaths and stops at named points, coming and going.

Each scenario ends when everything that was written is stored, once, with its values.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Set
from functools import partial
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from runbus.clickhouse.client import connect
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.settings import KafkaSettings
from tests.faults.sink.points import POINTS
from tests.faults.sink.soak import SoakRun
from tests.faults.stream_workers import PARTITIONS
from tests.support.waiting import until

REPAIRS = ("repairing", "mending", "repaired")
COUNTS = ("counting", "counted")
LEAVES = ("revoking", "revoked")
_DIES_S = 120.0


class Announced(NamedTuple):
    """A range that was announced and may or may not be stored."""

    topic_id: str
    partition: int
    lo: int
    hi: int


def announced(kafka: KafkaSettings) -> list[Announced]:
    """Return the ranges of `steps` that dead sinks left behind."""
    group = f"{kafka.topic_prefix}sink"
    consumer = Consumer({**kafka.client_config(), "group.id": group, "enable.auto.commit": False})  # asks only
    try:
        asked = [TopicPartition(f"{kafka.topic_prefix}steps", p) for p in range(PARTITIONS)]
        found = [(part, Intent.decode(part.metadata)) for part in consumer.committed(asked, timeout=30)]
        return [Announced(i.topic_id, p.partition, p.offset, i.hi) for p, i in found if i is not None and i.pending]
    finally:
        consumer.close()


def armed(stage: SoakRun, name: str, point: str, nth: int, by: str) -> subprocess.Popen[bytes]:
    """Start a sink that kills or stops itself at a point."""
    return stage.start(name, "tests.faults.sink.points", point, str(nth), by)


def dies(stage: SoakRun, point: str, nth: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Start a sink that kills itself at a point, do what brings it there, wait until it is dead."""
    process = armed(stage, "doomed", point, nth, "KILL")
    meanwhile()
    try:
        code = process.wait(_DIES_S)
    except subprocess.TimeoutExpired:
        code = 0
    assert code == -signal.SIGKILL, f"it did not die at {point} ({code}):\n{stage.log(process)[-3000:]}"


def lie(stage: SoakRun, *, half: bool, lied: Set[Announced] = frozenset()) -> set[Announced]:
    """Take the rows of announced ranges that are stored, or every second one, out of the table; their tokens stay.

    It is what a server holds that was killed between a token and its rows, at a place of our choice. No sink runs. A
    part that has no rows left stays too: with it the server would forget its token.
    Returns the announced ranges that lack rows by a lie, this one or an earlier one: each is a repair to come.
    """
    client = connect(stage.place.clickhouse)
    ranges, stored = announced(stage.place.kafka), set()
    try:
        client.command("ALTER TABLE steps MODIFY SETTING remove_empty_parts = 0")
        for one in ranges:
            rows = (
                f"kafka_topic_id = '{one.topic_id}' AND kafka_partition = {one.partition} "
                f"AND kafka_offset BETWEEN {one.lo} AND {one.hi}"
            )
            if client.query(f"SELECT count() FROM steps WHERE {rows}").result_rows[0][0]:
                stored.add(one)
                lost = f"{rows} AND ({int(not half)} OR seq % 2 = 0)"
                client.command(f"ALTER TABLE steps DELETE WHERE {lost}", settings={"mutations_sync": "1"})
    finally:
        client.close()
    return stored | (lied & set(ranges))


def killed_at(stage: SoakRun, point: str, times: tuple[int, ...]) -> None:
    """Let one sink after the other die at a point, at its nth call; a last one finishes."""
    with stage:
        for number, nth in enumerate(times):
            if point in REPAIRS:
                _dies_repairing(stage, point, nth, half=bool(number % 2))
            elif point in COUNTS:
                dies(stage, "stored", 3)
                dies(stage, point, nth)
            elif point in LEAVES:
                other: list[subprocess.Popen[bytes]] = []
                dies(stage, point, nth, partial(_joined_by_another, stage, other))
                stage.stop(other[0])
            else:
                dies(stage, point, nth)
        last = stage.start("last")
        if point in REPAIRS:  # by a heartbeat: one that ends within a second of its repair tells nobody
            until("it repairs what the others could not", lambda: stage.audit.work().repairs > 0, _DIES_S)
        stage.finish(0, [last])


def _dies_repairing(stage: SoakRun, point: str, nth: int, *, half: bool) -> None:
    """The table lacks announced ranges: a repair dies, then the repairs turn out to be a lie too, and one dies."""
    lied: set[Announced] = set()
    dies(stage, "stored", 3)
    for _ in range(2):
        while len(lied := lie(stage, half=half, lied=lied)) < nth:
            dies(stage, "stored", 3)
        dies(stage, point, nth)


def _joined_by_another(stage: SoakRun, other: list[subprocess.Popen[bytes]]) -> None:
    stage.moves()
    other.append(stage.start("other"))


def stopped_at(stage: SoakRun, points: tuple[str, ...]) -> None:
    """Let a sink stop itself at each point; once another has taken everything over, let it go on."""
    with stage:
        for point in points:
            if point in REPAIRS:
                dies(stage, "stored", 3)
                assert lie(stage, half=False)
            zombie = armed(stage, "zombie", point, 3 if POINTS[point].owner and point not in REPAIRS else 1, "STOP")
            until(f"it stops at {point}", partial(_stopped, zombie), _DIES_S)
            other = stage.start("other")
            stage.goes_past(stage.cursor.committed())
            said = len(stage.log(zombie))
            zombie.send_signal(signal.SIGCONT)
            until("it is in the group again", partial(_rejoined, stage, zombie, said), _DIES_S)
            stage.goes_past(stage.cursor.committed())
            for process in (other, zombie):
                stage.stop(process)
        stage.finish(0, [stage.start("last")])


def _stopped(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"it ended with {process.returncode}"
    return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None


def _rejoined(stage: SoakRun, process: subprocess.Popen[bytes], said: int) -> bool:
    """Whether a process that said that much before was given partitions again."""
    assert process.poll() is None, stage.log(process)[-3000:]
    return "sink.assigned" in stage.log(process)[said:]


def coming_and_going(stage: SoakRun, seconds: float, seed: int) -> int:
    """Let up to three sinks join and leave every few seconds; return how many left."""
    rng, left, running, end = random.Random(seed), 0, [stage.start("sink-first")], time.monotonic() + seconds
    with stage:
        stage.moves()
        while time.monotonic() < end:
            if not running or (len(running) < 3 and rng.random() < 0.6):
                running.append(stage.start(f"sink-{uuid.uuid4().hex[:6]}"))
            else:
                process = running.pop(rng.randrange(len(running)))
                stage.stop(process)
                assert "sink.close" not in stage.log(process), stage.log(process)[-3000:]
                left += 1
            time.sleep(rng.uniform(1.0, 4.0))  # the moment is random, that is the point
        stage.finish(0, running or [stage.start("sink-last")])
    return left
