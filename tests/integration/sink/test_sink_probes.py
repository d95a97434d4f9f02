"""The sink's own pages tell the truth, with a real broker and a real engine."""

from pathlib import Path

import pytest
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import start as start_engine
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from tests.integration.sink.probing import start
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, environment
from tests.support.waiting import until

pytestmark = pytest.mark.integration


def test_it_is_ready_once_its_partitions_are_open(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Not before; then /metrics counts what was stored, and SIGTERM ends it as ever."""
    feed.steps(5)
    feed.flush()
    process, pages = start(sinks)
    until("it is ready", pages.ready)
    tables.wait(feed)
    until("it counts them", lambda: pages.value("runbus_steps_total") == feed.total)
    assert (pages.value("runbus_records_total") or 0) >= 20
    assert pages.value("runbus_inserted_steps_total") == feed.total
    for histogram in ("runbus_insert_seconds", "runbus_commit_seconds"):
        assert (pages.value(f"{histogram}_count") or 0) >= 1
    assert pages.value("runbus_partitions_owned") == 19
    name = feed.settings.topic_prefix + "steps"
    until("no lag", lambda: all(pages.value("runbus_lag_events", topic=name, partition=p) == 0 for p in "0123"))
    assert sinks.stop(process) == 0


def test_a_spare_member_is_ready(feed: Feed, sinks: Sinks) -> None:
    """More sinks than partitions: the one that gets none says so in no reason, and owns nothing."""
    feed.flush()
    first, _ = start(sinks, group_protocol="classic")
    sinks.says("steps:0")
    spares = [start(sinks, group_protocol="classic") for _ in range(2)]
    for _, pages in spares:
        until("a later member is ready", pages.ready)
    for process in (first, *(process for process, _ in spares)):
        assert sinks.stop(process) == 0


def test_a_partition_that_waits_for_a_person_is_a_reason(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """While a table is missing: alive, not ready, and the answer says which partition and why."""
    process, pages = start(sinks)
    until("it is ready", pages.ready)
    tables.client.command("RENAME TABLE steps_landing TO steps_landing_away")
    try:
        feed.steps(3, agents=1)
        feed.flush()
        until("it is not ready", lambda: any("is paused: configuration" in why for why in pages.reasons() or []))
        assert pages.ask("live")[0] == 200
        assert pages.value("runbus_ready") == 0
        assert pages.value("runbus_partitions_paused", reason="configuration") == 1
    finally:
        tables.client.command("RENAME TABLE steps_landing_away TO steps_landing")
    until("it is ready again", pages.ready)
    tables.wait(feed)
    assert sinks.stop(process) == 0


def test_lag_past_the_limit_is_a_reason(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Records that wait longer than the limit make it unready; once they are stored it is ready again."""
    sinks.env["RUNBUS_READY_LAG_SECONDS"] = "2"
    process, pages = start(sinks, range_seconds="8")
    feed.steps(2, agents=1)
    feed.flush()
    until("it is behind", lambda: any("s behind" in why for why in pages.reasons() or []))
    assert (pages.value("runbus_lag_seconds") or 0) > 2
    tables.wait(feed)
    until("the steps are no lag", lambda: (pages.value("runbus_lag_seconds") or 0) < 9)
    assert sinks.stop(process) == 0


def test_it_says_what_it_waits_for(
    feed: Feed, kafka_settings: KafkaSettings, migrated: ClickHouseSettings, tmp_path: Path
) -> None:
    """Without ClickHouse: alive, not ready, heartbeats go on, and SIGTERM is obeyed."""
    nowhere = ClickHouseSettings(f"http://127.0.0.1:{free_port()}", migrated.user, migrated.password, "runbus")
    sinks = Sinks(environment(feed.settings, nowhere), tmp_path)
    try:
        process, pages = start(sinks, instance_id="waits")
        until("it waits", lambda: "waits for ClickHouse" in (pages.reasons() or []))
        assert pages.ask("live")[0] == 200
        assert {heartbeat(feed).component_id for _ in range(2)} == {"waits"}
        assert sinks.stop(process) == 0
    finally:
        sinks.kill_all()


def heartbeat(feed: Feed) -> Heartbeat:
    """Return the next heartbeat that anybody sends."""
    consumer = Consumer({**feed.settings.client_config(), "group.id": "nobody", "enable.auto.commit": False})
    consumer.assign([TopicPartition(feed.settings.topic_prefix + "heartbeats", 0, OFFSET_END)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    value = message.value()
    assert isinstance(value, bytes)
    writer, body = Codec().open(value, "Heartbeat")
    return Heartbeat.decode(body, writer)


def test_a_broker_that_is_away_is_said_at_once_and_not_every_second(
    kafka_settings: KafkaSettings, migrated: ClickHouseSettings, tmp_path: Path
) -> None:
    """One log line in the first seconds, and SIGTERM ends the wait with exit code 0."""
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}", topic_prefix=kafka_settings.topic_prefix)
    sinks = Sinks(environment(nobody, migrated), tmp_path)
    try:
        process, pages = start(sinks)
        until("it waits", lambda: "waits for Kafka" in (pages.reasons() or []))
        sinks.says("start.waiting for Kafka")
        assert sinks.stop(process) == 0
        assert sinks.log().count("start.waiting") == 1
    finally:
        sinks.kill_all()


@pytest.mark.long  # short: test_sink_outage.py, whose sink says it too
@pytest.mark.faults
def test_a_broker_that_dies_is_a_reason_until_it_is_back(
    migrated: ClickHouseSettings, tables: Tables, tmp_path: Path
) -> None:
    """SIGKILL of the broker: alive, not ready, and ready again once it is back; every step is stored once."""
    options = KafkaOptions(tmp_path / "kafka", free_port(), free_port(), cache())
    service, output = kafka_service(options), tmp_path / "kafka.log"
    broker = start_engine(service, output)
    kafka = KafkaSettings(bootstrap_servers=options.bootstrap_servers, topic_prefix="own.")
    sinks = Sinks(environment(kafka, migrated), tmp_path)
    try:
        apply_topics(kafka, partitions=4)
        feed = Feed(kafka)
        feed.steps(3)
        feed.flush()
        process, pages = start(sinks)
        until("it is ready", pages.ready)
        tables.wait(feed)
        broker.kill()
        until("it says so", lambda: any("waits for Kafka" in why for why in pages.reasons() or []))
        assert pages.ask("live")[0] == 200
        broker = start_engine(service, output)
        feed.steps(3)
        feed.flush()
        tables.wait(feed)
        until("it is ready again", pages.ready)
        assert sinks.stop(process) == 0
        tables.check(feed)
    finally:
        sinks.kill_all()
        broker.stop()
