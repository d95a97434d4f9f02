"""A real sink between a real broker and a real engine, without faults."""

from functools import partial

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.kafka.commit_metadata import Intent
from runbus.schemas import metric_batch
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, Event, Heartbeat, RunEvent
from runbus.schemas.metric_batch import MetricHeader
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.support.batches import make_metrics
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_every_step_arrives_once_and_a_clean_stop_leaves_nothing_pending(
    feed: Feed, sinks: Sinks, tables: Tables, protocol: str
) -> None:
    """Rows equal what was produced; SIGTERM exits 0 and the last commit is the end of the log without an intent."""
    feed.steps(30)
    feed.flush()
    process = sinks.start(group_protocol=protocol)
    tables.wait(feed)
    assert sinks.stop(process) == 0
    tables.check(feed)
    for part in committed(feed, "steps"):
        intent = Intent.decode(part.metadata)
        assert part.offset < 0 or (intent is not None and not intent.pending), part
    assert sum(max(0, part.offset) for part in committed(feed, "steps")) == 120


def committed(feed: Feed, topic: str) -> list[TopicPartition]:
    """Return what the sink's group committed."""
    prefix = feed.settings.topic_prefix
    asked = [TopicPartition(prefix + topic, i) for i in range(4)]
    admin = AdminClient({**feed.settings.client_config()})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f"{prefix}sink", asked)]).values()
    return list(future.result(10).topic_partitions)


def test_the_other_topics_go_the_same_way(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Runs, episodes and heartbeats become one row a record, with their position."""
    run = feed.run
    events: list[tuple[str, Event]] = [
        ("runs", RunEvent(run_id=run, agent_id="a", attempt=1, kind="STARTED", sent_at=5, started_at=5)),
        ("episodes", _episode(run)),
        ("heartbeats", Heartbeat(component_id=run, kind="recorder", sent_at=5, started_at=5, version="0")),
    ]
    for topic, event in events:
        value = Codec().frame(topic, schema(event.SCHEMA), event.encode())
        feed.send(topic, b"k", value)
        feed.send(topic, b"k", value)
    feed.flush()
    process = sinks.start()
    for topic, column in (("runs", "run_id"), ("episodes", "run_id"), ("heartbeats", "component_id")):
        until(f"rows in {topic}", partial(_twice, tables, topic, f"{column} = '{run}'"))
    assert sinks.stop(process) == 0


def test_metrics_go_the_same_way(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """A batch of metrics becomes a row a value, each once; one that lies is a dead letter between them."""
    for first in (0, 20):
        header = MetricHeader(feed.run, "learner-0", 1, first, 20, 0, 1)
        value = Codec().frame("metrics", schema("MetricBatch"), metric_batch.encode(make_metrics(header)))
        feed.send("metrics", f"{feed.run}/learner-0".encode(), value)
        feed.send("metrics", f"{feed.run}/learner-0".encode(), value[:-9] + value[-8:])
    feed.flush()
    process = sinks.start()
    query = f"SELECT (count(), uniqExact(seq), sum(value)) FROM metrics WHERE run_id = '{feed.run}'"
    until("40 values", lambda: tables.one(query) == (40, 40, 780.0))
    letters = "SELECT count() FROM dead_letters WHERE endsWith(topic, 'metrics') AND component = 'sink'"
    until("two dead letters", lambda: tables.one(letters) == 2)
    assert sinks.stop(process) == 0


def _twice(tables: Tables, table: str, where: str) -> bool:
    counts = tables.one(f"SELECT (count(), uniqExact(kafka_partition, kafka_offset)) FROM {table} WHERE {where}")
    return counts == (2, 2)


def _episode(run: str) -> EpisodeFinalized:
    return EpisodeFinalized(
        id="e", revision=0, run_id=run, agent_id="a", attempt=1, env=0, episode=0, reason="terminated", complete=True,
        missing_from=[], missing_to=[], return_=1.5, length=2, first_seq=0, last_seq=2, first_ts=1, last_ts=2,
        min_reward=0.0, max_reward=1.0,
    )  # fmt: skip


def test_its_heartbeat_says_where_it_stands(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Kind sink, positions by topic and partition, no lag once everything is stored; and it is stored itself."""
    feed.steps(5)
    feed.flush()
    process = sinks.start(instance_id=f"sink-{feed.run}")
    tables.wait(feed)
    name = f"{feed.settings.topic_prefix}steps"
    query = (
        "SELECT max(total_events >= 5120 AND lag_events <= 1 AND kind = 'sink' "
        f"AND arraySum(mapValues(mapFilter((k, v) -> startsWith(k, '{name}'), last_seq_id))) = 20) "
        "FROM heartbeats WHERE component_id = {id:String}"
    )
    until("a heartbeat without lag", lambda: tables.one(query, id=f"sink-{feed.run}") == 1)
    assert sinks.stop(process) == 0


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_two_sinks_share_the_partitions(feed: Feed, sinks: Sinks, tables: Tables, protocol: str) -> None:
    """A second sink joins while batches flow, the first leaves: every step once, and nobody starts anew."""
    first = sinks.start(group_protocol=protocol)
    sinks.says("steps:0", 0)
    feed.steps(20)
    second = sinks.start(group_protocol=protocol)
    # the new protocol shares out topic by topic; cooperative-sticky only counts partitions
    sinks.says("steps:" if protocol == "consumer" else "episodes:", 1)
    feed.steps(20)
    feed.flush()
    assert sinks.stop(first) == 0
    feed.steps(20)
    feed.flush()
    tables.wait(feed)
    assert sinks.stop(second) == 0
    tables.check(feed)
    assert "sink.restart" not in sinks.log(0) + sinks.log(1)


@pytest.mark.parametrize(
    ("wrong", "sentence", "code"),
    [
        ({"RUNBUS_TOPIC_PREFIX": "nowhere."}, "run `runbus topics apply`", 1),
        ({"CLICKHOUSE_DATABASE": "nowhere"}, "runbus migrate", 1),
        ({"CLICKHOUSE_DATABASE": "default"}, "runbus migrate", 1),
        ({"CLICKHOUSE_PASSWORD": "wrong"}, "CLICKHOUSE_", 1),
        ({"RUNBUS_SINK_RANGE_STEPS": "many"}, "RUNBUS_SINK_RANGE_STEPS", 2),
        ({"RUNBUS_SINK_LOST_RANGE": "maybe"}, "stop, continue", 2),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    feed: Feed, sinks: Sinks, wrong: dict[str, str], sentence: str, code: int
) -> None:
    """One line that says what to do, no traceback: exit code 1 for what is missing, 2 for a wrong setting."""
    sinks.env |= wrong
    assert sinks.start().wait(60) == code
    last = sinks.log().splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last
    assert "Traceback" not in sinks.log()
