"""Records that the sink could not store: a fate of their own in both audits."""

import pytest

from runbus.audit.reconciliation import StreamSums
from runbus.audit.stream_audit import audit
from runbus.audit.verdicts import Verdict
from runbus.clickhouse.tables import STEPS
from runbus.kafka.topics import stream_key
from tests.integration.audit.audit_setup import AuditSetup
from tests.integration.sink.sink_processes import make_batch

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_dead_letters_count_as_such_until_a_retry_stores_them(scene: AuditSetup) -> None:
    """What the sink could not store is a dead letter, in the table or on its way there; rows make it stored."""
    with scene.sink():
        scene.records(3)
        scene.feed.send("steps", b"k", b"hello", partition=0)
        scene.records(4)
    assert scene.ranges() == [(Verdict.DEAD_LETTER, 0, 3, 3, 1)]
    scene.delete("steps", "kafka_offset IN (5, 6)")
    assert scene.ranges() == [(Verdict.DEAD_LETTER, 0, 3, 3, 1), (Verdict.MISSING, 0, 5, 6, 2)]
    letter(scene, 5, component="episodes")
    letter(scene, 6, component="sink")
    assert scene.ranges() == [
        (Verdict.DEAD_LETTER, 0, 3, 3, 1),
        (Verdict.MISSING, 0, 5, 5, 1),
        (Verdict.DEAD_LETTER, 0, 6, 6, 1),
    ]
    scene.store(STEPS, 0, 5, 6)
    assert scene.ranges() == [(Verdict.DEAD_LETTER, 0, 3, 3, 1)]


def letter(scene: AuditSetup, offset: int, component: str) -> None:
    """Put a dead letter of partition 0 of steps on the log."""
    topic = scene.feed.settings.topic_prefix + "steps"
    topic_id = str(scene.tables.one("SELECT any(kafka_topic_id) FROM steps"))
    headers: dict[str, str | bytes | None] = {
        "topic": topic, "topic_id": topic_id, "partition": "0", "offset": str(offset), "component": component,
    }  # fmt: skip
    name = scene.feed.settings.topic_prefix + "dead-letters"
    scene.feed.producer.produce(name, key=f"{topic}-0-{offset}".encode(), value=b"x", headers=headers)
    scene.feed.flush()


def test_steps_of_dead_letters_have_a_column_of_their_own(scene: AuditSetup) -> None:
    """Where the header can be read its steps are dead letters, not missing, until they are sent again; and no error."""
    feed = scene.feed
    key = stream_key(feed.run, "agent-0")
    with scene.sink():
        scene.records(3)
        feed.send("steps", key, feed.value(make_batch(feed.run, "agent-0", 24, 8))[:-7], partition=0)
        feed.send("steps", key, b"hello, world", partition=0)
        feed.produced["agent-0"] += 8
        scene.records(3)
    result = audit(scene.installation)
    assert result.total == StreamSums(produced=56, stored=48, dead_letters=8)
    assert (result.unreadable, result.unreadable_letters, result.sound) == (0, 1, True)
    assert audit(scene.installation, feed.run).total == result.total
    scene.delete("steps", "kafka_offset = 6")
    assert audit(scene.installation).total == StreamSums(produced=56, stored=40, dead_letters=8, missing=8)
    letter(scene, 6, component="episodes")
    letter(scene, 7, component="sink")
    assert audit(scene.installation).total == StreamSums(produced=56, stored=40, dead_letters=8, missing=8)
    feed.send("steps", key, feed.value(make_batch(feed.run, "agent-0", 24, 8)), partition=0)
    feed.flush()
    assert audit(scene.installation).total == StreamSums(produced=56, stored=40, in_flight=8, missing=8)
    with scene.sink():
        pass
    assert audit(scene.installation).total == StreamSums(produced=56, stored=48, missing=8)


def test_a_record_that_nobody_can_read_and_nobody_knows_of_is_an_error(scene: AuditSetup) -> None:
    """Before the sink came to it, an undecodable record may hide anything."""
    scene.feed.send("steps", b"k", b"hello, world", partition=0)
    scene.feed.flush()
    result = audit(scene.installation)
    assert (result.unreadable, result.unreadable_letters, result.sound) == (1, 0, False)
