"""Every offset of real topics against real tables: what is sound, and each way to damage it."""

import json
import os
import subprocess
import sys
import uuid
from collections import Counter, defaultdict

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.audit.range_audit import RangeAudit, TopicChanged
from runbus.audit.reconciliation import StreamSums
from runbus.audit.stream_audit import audit
from runbus.audit.verdicts import Verdict
from runbus.clickhouse.tables import EPISODES, METRICS, RUNS, STEPS
from runbus.kafka.admin import apply_topics
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.topics import run_event_key, stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.schemas.metric_batch import MetricHeader, encode
from runbus.sink.flow import UNCOUNTED
from tests.integration.audit.audit_setup import PARTITIONS, AuditSetup
from tests.integration.sink.sink_processes import Feed, environment
from tests.integration.sink.test_sink_transactions import Finaliser
from tests.support.batches import make_metrics
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_a_sound_log_has_no_damage_while_it_is_written_and_after(scene: AuditSetup) -> None:
    """Steps, runs, episodes in transactions, aborted ones too, and a poison value: audited in the middle and after."""
    finaliser = Finaliser(scene.feed)
    with scene.sink():
        for number in range(4):
            scene.records(40, partition=number % PARTITIONS)
            finaliser.write(3)
            (finaliser.abort if number % 2 else finaliser.commit)()
            scene.feed.send("runs", run_event_key(scene.feed.run, f"a{number}", 1), started(scene.feed, f"a{number}"))
            if number == 2:
                scene.feed.send("steps", b"poison", b"hello, world", partition=0)
            scene.feed.flush()
            result, findings = scene.audit(piece=25)
            assert result.total.sound, findings
    result, findings = scene.audit()
    assert result.total.sound
    counted: defaultdict[str, Counter[Verdict]] = defaultdict(Counter)
    for topic, _, _, part in findings:
        counted[topic.rsplit(".")[-1]][part.verdict] += part.offsets
    assert counted["steps"] == {Verdict.STORED: 160, Verdict.DEAD_LETTER: 1}
    assert counted["runs"] == {Verdict.STORED: 4}
    assert counted["episodes"] == {Verdict.STORED: 6}
    assert counted["heartbeats"][Verdict.STORED] > 0
    stored = [f.range for f in findings if f.topic.endswith("steps") and f.range.verdict is Verdict.STORED]
    assert sum(r.rows for r in stored) == sum(r.expected for r in stored) == scene.feed.total
    assert counted["dead-letters"] == {Verdict.STORED: 1}
    assert len(result.partitions) == 4 * PARTITIONS + 3


def started(feed: Feed, agent: str) -> bytes:
    """Return the value of a STARTED event."""
    event = RunEvent(run_id=feed.run, agent_id=agent, attempt=1, kind="STARTED", sent_at=1, started_at=1)
    return Codec().frame("runs", schema("RunEvent"), event.encode())


def test_each_damage_to_steps_is_named_with_its_offsets(scene: AuditSetup) -> None:
    """Rows deleted, in part or whole, stored twice, under another offset or partition: these ranges and no others."""
    with scene.sink():
        scene.records(60, partition=0)
        scene.records(10, partition=1)
    assert scene.ranges() == []
    scene.delete("steps", "kafka_partition = 0 AND kafka_offset BETWEEN 5 AND 9")
    scene.delete("steps", "kafka_partition = 0 AND kafka_offset IN (20, 21) AND seq % 3 = 1")
    scene.store(STEPS, 0, 30, 31, 32)
    scene.delete("steps", "kafka_partition = 0 AND kafka_offset = 40 AND seq = 40 * 8 + 2")
    copy_rows(scene, "kafka_partition = 0 AND kafka_offset = 40 AND seq = 40 * 8 + 5", "seq")
    scene.store(STEPS, 1, 3, moved=1000)
    copy_rows(scene, "kafka_partition = 1 AND kafka_offset = 9", f"toInt32({PARTITIONS + 5}) AS kafka_partition")
    copy_rows(scene, "kafka_partition = 1 AND kafka_offset = 8", "'another-topic' AS kafka_topic_id")
    expected = [
        (Verdict.MISSING, 0, 5, 9, 5),
        (Verdict.PARTIAL, 0, 20, 21, 2),
        (Verdict.DOUBLED, 0, 30, 32, 3),
        (Verdict.DOUBLED, 0, 40, 40, 1),
        (Verdict.FOREIGN, 1, 1003, 1003, 1),
        (Verdict.OTHER_TOPIC, 1, 8, 8, 0),
        (Verdict.FOREIGN, PARTITIONS + 5, 9, 9, 1),
    ]
    for piece in (1000, 7, 1):
        assert scene.ranges(piece=piece) == expected
    _, findings = scene.audit(STEPS)
    numbers = {f.range.first: (f.range.expected, f.range.rows, f.range.distinct) for f in findings}
    assert numbers[5] == (40, 0, 0)
    assert numbers[20][1] == numbers[20][2] < numbers[20][0] == 16
    assert numbers[30] == (24, 48, 24)
    assert numbers[40] == (8, 8, 7)


def copy_rows(scene: AuditSetup, condition: str, changed: str) -> None:
    """Insert rows of steps again, with a column changed."""
    names = [row[0] for row in scene.tables.client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'steps' "
        "AND default_kind = '' ORDER BY position"
    ).result_rows]  # fmt: skip
    column = changed.rsplit(" ", maxsplit=1)[-1]
    values = ", ".join(changed if name == column else name for name in names)
    scene.tables.client.command(
        f"INSERT INTO steps ({', '.join(names)}) SELECT {values} FROM (SELECT * FROM steps WHERE {condition})"
    )


def test_rows_where_a_transaction_was_aborted_are_foreign(scene: AuditSetup) -> None:
    """A marker and an aborted record have offsets, but no record: a row there is of nothing."""
    finaliser = Finaliser(scene.feed)
    with scene.sink():
        for outcome in (finaliser.commit, finaliser.abort, finaliser.commit):
            finaliser.write(3)
            outcome()
    assert scene.ranges(EPISODES) == []
    scene.store(EPISODES, 0, 0, moved=3)  # the marker of the first commit
    scene.store(EPISODES, 0, 1, moved=4)  # an aborted record
    scene.store(EPISODES, 0, 10)
    scene.delete("episodes", "kafka_offset = 8")
    assert scene.ranges(EPISODES) == [
        (Verdict.FOREIGN, 0, 3, 5, 2),
        (Verdict.MISSING, 0, 8, 8, 1),
        (Verdict.DOUBLED, 0, 10, 10, 1),
    ]


def test_an_open_transaction_is_not_audited_yet(scene: AuditSetup) -> None:
    """What is behind it can be read by nobody, so it is neither missing nor in flight."""
    finaliser = Finaliser(scene.feed)
    with scene.sink():
        finaliser.write(2)
        finaliser.commit()
    finaliser.write(2)
    result, findings = scene.audit(EPISODES)
    assert [(f.range.verdict, f.range.first, f.range.last) for f in findings] == [(Verdict.STORED, 0, 1)]
    assert (result.partitions[0].start, result.partitions[0].end) == (0, 3)
    finaliser.commit()
    assert scene.ranges(EPISODES) == [(Verdict.IN_FLIGHT, 0, 3, 4, 2)]


def test_what_is_above_the_cursor_is_in_flight_but_a_double_is_one(scene: AuditSetup) -> None:
    """Without a sink everything is on its way, even what is stored in part; twice is wrong there too."""
    scene.records(10)
    assert scene.ranges() == [(Verdict.IN_FLIGHT, 0, 0, 9, 10)]
    scene.store(STEPS, 0, 4)
    scene.store(STEPS, 0, 4)
    scene.store(STEPS, 0, 6, 7)
    scene.delete("steps", "kafka_offset = 7 AND seq % 2 = 0")
    assert scene.ranges() == [
        (Verdict.IN_FLIGHT, 0, 0, 3, 4),
        (Verdict.DOUBLED, 0, 4, 4, 1),
        (Verdict.IN_FLIGHT, 0, 5, 5, 1),
        (Verdict.IN_FLIGHT, 0, 7, 9, 3),
    ]


def test_what_retention_took_is_lost_or_cannot_be_checked(scene: AuditSetup) -> None:
    """Deleted before it was stored: lost, as the table says. Deleted after: rows that nothing can be compared with."""
    with scene.sink():
        scene.records(10)
    scene.forget("steps", 0, before=4)
    result, _ = scene.audit(STEPS)
    assert result.total.sound
    assert scene.ranges() == [(Verdict.EXPIRED, 0, 0, 3, 0)]
    assert result.total.unchecked_rows == 4 * 8
    lose(scene, 1, 3, UNCOUNTED)
    scene.records(10)
    scene.forget("steps", 0, before=17)
    with scene.sink(lost_range="continue"):
        pass
    assert scene.ranges() == [(Verdict.LOST, 0, 10, 16, 7), (Verdict.EXPIRED, 0, 0, 9, 0)]
    result, _ = scene.audit(STEPS)
    assert result.total.sound
    assert result.total.offsets[Verdict.STORED] == 3


def lose(scene: AuditSetup, first: int, last: int, reason: str) -> None:
    """Put a range of partition 0 of steps into lost_ranges, as the sink does."""
    topic, topic_id = (
        f"{scene.feed.settings.topic_prefix}steps",
        scene.tables.one("SELECT any(kafka_topic_id) FROM steps"),
    )
    scene.tables.client.insert(
        "lost_ranges",
        [[topic, topic_id, 0, first, last, reason]],
        column_names=["topic", "topic_id", "partition", "first_offset", "last_offset", "reason"],
    )


def test_a_topic_that_was_created_anew_is_another_topic(scene: AuditSetup) -> None:
    """Its rows are told apart by the topic's id, and a cursor of the old topic says nothing about the new one."""
    with scene.sink():
        scene.records(12)
    settings = scene.feed.settings
    name, admin = f"{settings.topic_prefix}steps", AdminClient({**settings.client_config()})
    admin.delete_topics([name])[name].result(30)
    until("it is gone", lambda: name not in admin.list_topics(timeout=10).topics)
    apply_topics(settings, partitions=PARTITIONS)
    again = AuditSetup(Feed(settings, run=f"again-{uuid.uuid4().hex[:6]}"), scene.sinks, scene.tables, scene.clickhouse)
    again.records(5)
    old_id = str(scene.tables.one("SELECT any(kafka_topic_id) FROM steps"))
    commit(again, 3, Intent(old_id).encode())
    assert again.ranges() == [(Verdict.IN_FLIGHT, 0, 0, 4, 5), (Verdict.OTHER_TOPIC, 0, 0, 11, 0)]
    with again.sink():
        pass
    assert again.ranges() == [(Verdict.OTHER_TOPIC, 0, 0, 11, 0)]


def commit(scene: AuditSetup, offset: int, metadata: str) -> None:
    """Commit an offset of partition 0 of steps for the sink's group."""
    part = TopicPartition(f"{scene.feed.settings.topic_prefix}steps", 0, offset, metadata=metadata)
    consumer = Consumer({**scene.feed.settings.client_config(), "group.id": scene.installation.group})
    consumer.commit(offsets=[part], asynchronous=False)
    consumer.close()


def test_a_topic_that_is_created_anew_under_the_audit_is_an_error(scene: AuditSetup) -> None:
    """Half of what was compared is of the topic before: nothing may be concluded."""
    scene.records(3)
    findings = RangeAudit(scene.installation, [STEPS]).findings()
    next(findings)
    settings = scene.feed.settings
    name, admin = f"{settings.topic_prefix}steps", AdminClient({**settings.client_config()})
    admin.delete_topics([name])[name].result(30)
    until("it is gone", lambda: name not in admin.list_topics(timeout=10).topics)
    apply_topics(settings, partitions=PARTITIONS)
    with pytest.raises(TopicChanged, match="run the audit again"):
        list(findings)


def test_rows_of_a_compacted_topic_may_have_lost_their_record(scene: AuditSetup) -> None:
    """In a topic that is compacted an offset without a record proves nothing, but two rows of it are one too many."""
    with scene.sink():
        for agent in "abc":
            scene.feed.send("runs", run_event_key(scene.feed.run, agent, 1), started(scene.feed, agent), partition=0)
        scene.feed.flush()
    aborting = Finaliser(scene.feed)
    aborting.topic = f"{scene.feed.settings.topic_prefix}runs"
    aborting.write(2)
    aborting.abort()
    with scene.sink():
        pass
    scene.store(RUNS, 0, 0, moved=3)
    scene.store(RUNS, 0, 1, moved=3)
    scene.store(RUNS, 0, 2, moved=2)
    assert scene.ranges(RUNS) == [(Verdict.COMPACTED, 0, 3, 3, 1), (Verdict.DOUBLED, 0, 4, 4, 1)]


def test_the_command_says_it_and_exits_with_one(scene: AuditSetup) -> None:
    """JSON has every range and the sums; the table has the damage; a sound topic exits with 0."""
    with scene.sink():
        scene.records(20)
    scene.delete("steps", "kafka_offset BETWEEN 3 AND 5")
    done = runbus(scene, "--ranges", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["sound"]) == (1, False)
    missing = [r for r in document["ranges"] if r["verdict"] == "missing"]
    topic_id = scene.tables.one("SELECT any(kafka_topic_id) FROM steps")
    assert missing == [{
        "topic": f"{scene.feed.settings.topic_prefix}steps", "topic_id": topic_id, "partition": 0,
        "verdict": "missing", "first_offset": 3, "last_offset": 5, "offsets": 3, "expected_rows": 24, "rows": 0,
        "distinct_rows": 0,
    }]  # fmt: skip
    assert document["total"]["missing"] == 3
    assert len(document["partitions"]) == 4 * PARTITIONS + 3
    (steps, *_) = document["partitions"]
    assert (steps["first_offset"], steps["end_offset"], steps["committed_offset"]) == (0, 20, 20)
    assert (steps["stored"], steps["missing"]) == (17, 3)
    done = runbus(scene, "--ranges", "--topic", "steps")
    assert done.returncode == 1
    assert [line.split()[2] for line in done.stdout.splitlines() if line.startswith("missing")] == ["3-5"]
    done = runbus(scene, "--ranges", "--topic", "episodes")
    assert (done.returncode, "missing" in done.stdout) == (0, False)


def runbus(scene: AuditSetup, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `runbus audit` on the scene."""
    env = {**os.environ, **environment(scene.feed.settings, scene.clickhouse)}
    argv = [sys.executable, "-m", "runbus.cli", "audit", *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_damage_to_metrics_is_named_as_that_to_steps(scene: AuditSetup) -> None:
    """What is gone makes its record partial, what is stored again doubles it; the audit of streams agrees."""
    for first in range(0, 40, 8):
        header = MetricHeader(scene.feed.run, "learner-0", 1, first, 8, 0, 1)
        value = Codec().frame("metrics", schema("MetricBatch"), encode(make_metrics(header)))
        scene.feed.send("metrics", stream_key(scene.feed.run, "learner-0"), value, 0)
    scene.feed.flush()
    with scene.sink():
        pass
    assert scene.ranges(METRICS) == []
    scene.delete("metrics", "seq = 9")
    scene.delete("metrics", "kafka_offset = 2")
    scene.store(METRICS, 0, 4)
    assert scene.ranges(METRICS) == [
        (Verdict.PARTIAL, 0, 1, 1, 1),
        (Verdict.MISSING, 0, 2, 2, 1),
        (Verdict.DOUBLED, 0, 4, 4, 1),
    ]
    found = audit(scene.installation)
    assert found.metrics is not None
    assert found.metrics.total == StreamSums(produced=40, stored=39, missing=9, duplicates=8)
    assert not found.sound
