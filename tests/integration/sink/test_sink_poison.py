"""Values that cannot be stored, on real engines: each becomes a dead letter, everything else is stored."""

import pytest
from confluent_kafka import Message

from runbus.kafka.topic_log import open_topic
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.schemas.registry import SchemaRegistry
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, make_batch
from tests.support.waiting import until

pytestmark = pytest.mark.integration


def poison(feed: Feed) -> dict[str, bytes | None]:
    """Return bad values for the steps topic by what is wrong with them."""
    good = feed.value(make_batch(feed.run, "poison", 0, 8))
    other = RunEvent(run_id="r", agent_id="a", attempt=1, kind="STARTED", sent_at=1, started_at=1)
    length = good.index(b"<f4")  # the layout's dtype: another one makes width and columns contradict each other
    attempt = good.index(b"poison") + len(b"poison")  # a varint that no reader should take as long as that
    return {
        "null": None,
        "empty": b"",
        "unframed": b"hello, world",
        "unknown fingerprint": b"\xc3\x01" + b"\x01" * 8 + good[10:],
        "unknown schema id": b"\x00\x77\x35\x94\x00" + good[10:],
        "half a schema id": b"\x00\x00\x00\x09",
        "another record": Codec().frame("steps", schema("RunEvent"), other.encode()),
        "truncated": good[:-7],
        "cut in the header": good[:20],
        "header only": good[:10],
        "trailing bytes": good + b"\x00\x00",
        "dtype flipped": good[:length] + b"<f8" + good[length + 3 :],
        "negative length": good[:10] + b"\x03" + good[11:],
        "huge length": good[:10] + b"\xfe\xff\xff\xff\x0f" + good[11:],
        "endless integer": good[:attempt] + b"\x82" + b"\x80" * 10 + b"\0" + good[attempt + 1 :],
        "not UTF-8": good[:11] + b"\xff" + good[12:],
        "control character": good[:11] + b"\xc2\x85" + good[13:],
    }


def test_each_kind_of_poison_is_a_dead_letter_and_the_rest_is_stored(
    feed: Feed, sinks: Sinks, tables: Tables, registry: str
) -> None:
    """All kinds in the middle of good batches of one partition: bytes and reasons are kept, nothing good is lost."""
    values = poison(feed)
    key = b"one key"
    for number, value in enumerate(values.values()):
        feed.send("steps", key, feed.value(make_batch(feed.run, "good", number * 8, 8)), partition=1)
        feed.send("steps", key, value, partition=1)
    feed.produced["good"] = len(values) * 8
    feed.flush()
    sinks.env["SCHEMA_REGISTRY_URL"] = registry  # without one, an id is a question of settings and not of the value
    process = sinks.start()
    tables.wait(feed)
    topic = feed.settings.topic_prefix + "steps"
    query = "SELECT count() FROM dead_letters WHERE topic = {topic:String}"
    until("the dead letters are in ClickHouse", lambda: tables.one(query, topic=topic) == len(values))
    assert sinks.stop(process) == 0
    tables.check(feed)
    letters = read_all(feed, "dead-letters")
    assert {m.key() for m in letters} == {f"{topic}-1-{2 * n + 1}".encode() for n in range(len(values))}
    by_offset = {int(dict(m.headers() or [])["offset"] or 0): m for m in letters}
    for number, (name, value) in enumerate(values.items()):
        letter = by_offset[2 * number + 1]
        headers = dict(letter.headers() or [])
        assert letter.value() == value, name
        assert (headers["topic"], headers["partition"]) == (topic.encode(), b"1"), name
        assert (headers["component"], headers["key"]) == (b"sink", key), name
        assert headers["error"], name
    stored = tables.client.query(
        "SELECT offset, kafka_offset, value, component, source_key, length(error) > 0, headers['topic'] = topic "
        "FROM dead_letters WHERE topic = {topic:String} ORDER BY offset",
        parameters={"topic": topic},
        column_formats={"value": "bytes"},
    ).result_rows
    assert stored == [
        (2 * n + 1, by_offset[2 * n + 1].offset(), value, "sink", "one key", True, True)
        for n, value in enumerate(values.values())
    ]


def test_schema_ids_without_a_registry_wait_for_the_setting(
    feed: Feed, sinks: Sinks, tables: Tables, registry: str
) -> None:
    """A sink that lacks SCHEMA_REGISTRY_URL pauses, says so once and ends at SIGTERM; one that has it stores all."""
    topic = feed.settings.topic_prefix + "steps"
    known = SchemaRegistry(registry)
    known.push(topic, schema("StepBatch"))
    for first in range(0, 40, 8):
        value = Codec(known).frame(topic, schema("StepBatch"), encode(make_batch(feed.run, "framed", first, 8)))
        feed.send("steps", b"one key", value, partition=1)
    feed.produced["framed"] = 40
    feed.flush()
    process = sinks.start()
    sinks.says("reason=configuration: no registry is set")
    assert sinks.stop(process) == 0
    assert sinks.log().count("sink.paused") == 1
    assert tables.steps(feed) == 0
    sinks.env["SCHEMA_REGISTRY_URL"] = registry
    process = sinks.start()
    tables.wait(feed)
    assert sinks.stop(process) == 0
    tables.check(feed)
    assert read_all(feed, "dead-letters") == []


def read_all(feed: Feed, topic: str) -> list[Message]:
    """Return every record of a topic with one partition."""
    with open_topic(feed.settings, topic, "reader") as log:
        return list(log.records())
