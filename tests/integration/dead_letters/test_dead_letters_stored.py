"""StoredLetters of every component, and of programs that are none of ours, are in the table once, whoever is killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from runbus.kafka.clients import admin_client
from runbus.kafka.topic_ids import kafka_ids
from runbus.kafka.topics import DEAD_LETTER_BYTES
from runbus.recorder import Recorder, RunBus, courier
from runbus.recorder.encoding import Packing
from tests.faults.stream_workers import workers
from tests.integration.dead_letters.dlq_command import broken, good, letters
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
KEY = b"one key"


def in_the_table(tables: Tables, feed: Feed) -> dict[tuple[int, int], tuple[Any, ...]]:
    """Return own position -> how often, key, component, value, of all letters of this test's topic."""
    name = feed.settings.topic_prefix + "dead-letters"
    ids = asyncio.run(kafka_ids(admin_client(feed.settings), [name]))
    rows = tables.client.query(
        "SELECT kafka_partition, kafka_offset, count(), any(key), any(component), any(value) FROM dead_letters "
        "WHERE kafka_topic_id = {id:String} GROUP BY kafka_partition, kafka_offset",
        parameters={"id": ids[name]},
        column_formats={"any(value)": "bytes"},
    ).result_rows
    return {(partition, offset): tuple(rest) for partition, offset, *rest in rows}


def on_the_topic(feed: Feed) -> dict[tuple[int, int], Message]:
    """Return own position -> letter."""
    read = TopicReader(feed.settings).read("dead-letters")
    return {(m.partition() or 0, m.offset() or 0): m for m in read}


def check(tables: Tables, feed: Feed, found: Callable[[], int]) -> dict[tuple[int, int], tuple[Any, ...]]:
    """Wait until as many letters are stored as the topic has; fail unless each is there once, with its bytes."""
    wanted = on_the_topic(feed)
    until(f"{len(wanted)} letters are stored", lambda: found() >= len(wanted))
    stored = in_the_table(tables, feed)
    assert stored.keys() == wanted.keys()
    for at, (count, _, _, value) in stored.items():
        assert (count, value) == (1, wanted[at].value()), at
    return stored


@pytest.mark.faults
def test_letters_of_all_components_are_stored_once(
    feed: Feed, sinks: Sinks, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink, a stream app and a recorder write letters while the sink is killed again and again."""
    topic, rng = feed.settings.topic_prefix + "steps", random.Random(3)
    limits = {"dead_letter_run": "0", "dead_letter_share": "1"}
    with workers("episodes", feed.settings, tmp_path) as apps:
        app = apps.start()
        for number in range(40):
            feed.send("steps", KEY, good(feed, "good", number * 8), partition=1)
            feed.send("steps", KEY, broken(feed, number * 8), partition=1)
            if number % 10 == 5:
                feed.flush()
                process = sinks.start(instance_id="phoenix", **limits)
                before = letters(tables, topic)
                until("it stores letters", lambda before=before: letters(tables, topic) > before)  # type: ignore[misc]
                time.sleep(rng.uniform(0.0, 0.3))
                process.send_signal(signal.SIGKILL)
                process.wait()
        feed.produced["good"] = 40 * 8
        feed.flush()
        monkeypatch.setattr(courier, "Packing", partial(Packing, limit=100))  # not even a step without its parts fits
        with Recorder("too-large", bus=RunBus(), settings=feed.settings) as recorder:
            recorder.step(0, 1.0, False, False, "observation")
        assert recorder.flush(20)
        process = sinks.start(instance_id="phoenix", **limits)
        tables.wait(feed)
        until("both are done", lambda: len(_offsets(feed, b"episodes")) == len(_offsets(feed, b"sink")) == 40)
        _write_again(feed)
        stored = check(tables, feed, lambda: letters(tables, topic))
        assert sinks.stop(process) == 0
        apps.stop(app)
    tables.check(feed)
    positions = {f"{topic}-1-{2 * number + 1}" for number in range(40)}
    wanted = {(component, key) for component in ("sink", "episodes") for key in positions}
    wanted.add(("recorder", f"{topic}-too-large/agent-0/{recorder.attempt}-0"))
    assert {(component, key) for _, key, component, _ in stored.values()} == wanted
    once = tables.client.query(
        "SELECT component, key FROM dead_letters_latest WHERE topic = {topic:String}", parameters={"topic": topic}
    ).result_rows
    assert len(once) == len(wanted) < len(stored)
    assert {(str(component), str(key)) for component, key in once} == wanted


def _headers(message: Message) -> dict[str, Any]:
    return dict(message.headers() or [])


def _offsets(feed: Feed, component: bytes) -> set[bytes]:
    """Return the offsets that letters of a component are about."""
    found = [_headers(message) for message in on_the_topic(feed).values()]
    return {headers["offset"] for headers in found if headers["component"] == component}


def _write_again(feed: Feed) -> None:
    """Write one of the sink's letters again, as a sink does that died before it committed."""
    letter = next(m for m in on_the_topic(feed).values() if _headers(m)["component"] == b"sink")
    feed.producer.produce(str(letter.topic()), key=letter.key(), value=letter.value(), headers=_headers(letter))
    feed.flush()


# A program whose headers have names that are not UTF-8: clients refuse to write them, so one is talked into it.
ODD = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Odd(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main(servers, topic):
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    await producer.send_and_wait(topic, b"odd", b"key", headers=[(Odd("x"), b"1"), ("topic", b"t")])
    await producer.stop()

asyncio.run(main(*sys.argv[1:]))
"""


def test_letters_of_other_programs_are_stored_as_they_are(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """No headers, odd ones, no key, no value, names that are not UTF-8, the largest size: each is a row."""
    name = feed.settings.topic_prefix + "dead-letters"
    largest = random.Random(5).randbytes(DEAD_LETTER_BYTES - 1000)
    plain: list[tuple[bytes | None, bytes | None, list[tuple[str, Any]]]] = [
        (None, None, []),
        (b"key", b"value", [("topic", b"\xff"), ("partition", b"many"), ("offset", b"-1")]),
        (b"", b"", [("error", None), ("error", b"twice"), ("error", b"the last counts")]),
        (b"key", largest, [("component", b"other")]),
        (b"key", b"half a position", [("topic", b"t"), ("partition", b"1")]),
    ]
    producer = Producer({**feed.settings.client_config(), "message.max.bytes": DEAD_LETTER_BYTES + 1000})
    for key, value, headers in plain:
        producer.produce(name, key=key, value=value, headers=list(headers))
        assert producer.flush(30) == 0
    argv = [sys.executable, "-c", ODD, feed.settings.bootstrap_servers, name]
    subprocess.run(argv, env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}, check=True, timeout=120)
    process = sinks.start()
    until("all are stored", lambda: len(_of(tables, name)) == len(plain) + 1)
    assert sinks.stop(process) == 0
    stored = _of(tables, name)
    assert [row[:2] for row in stored] == [(f"{name}-0-{offset}", offset) for offset in range(len(plain) + 1)]
    assert [row[2] for row in stored] == [value for _, value, _ in plain] + [b"odd"]
    assert [row[3] for row in stored[:5]] == [key or b"" for key, _, _ in plain]
    assert [row[4] for row in stored] == [
        "",
        "",
        "the last counts",
        "",
        "",
        "its headers cannot be read: a name is not UTF-8",
    ]
    assert {row[5:] for row in stored} == {(-1, -1)}


def _of(tables: Tables, name: str) -> list[tuple[Any, ...]]:
    """Return the rows of letters that name no source."""
    rows = tables.client.query(
        "SELECT key, kafka_offset, value, source_key, error, partition, offset FROM dead_letters "
        "WHERE startsWith(key, {name:String}) ORDER BY kafka_offset",
        parameters={"name": name},
        column_formats={"value": "bytes", "source_key": "bytes"},
    ).result_rows
    return [tuple(row) for row in rows]
