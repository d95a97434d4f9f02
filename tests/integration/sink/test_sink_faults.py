"""Real processes are killed, stopped and refused while batches flow: every step is stored once."""

import asyncio
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.kafka.admin import apply_topics
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.settings import KafkaSettings
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.ports import free_port
from runbus.local.process import RunningProcess, running, start
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Fingerprint
from runbus.sink.container import Container
from runbus.sink.store import ClickHouseStore
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, environment, make_batch
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(240)]


@contextmanager
def flowing(feed: Feed) -> Iterator[None]:
    """Keep producing while the block runs."""
    stop = threading.Event()

    def produce() -> None:
        while not stop.is_set():
            feed.steps(2)
            stop.wait(0.02)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        feed.flush()


@pytest.mark.long
def test_a_sink_that_is_killed_again_and_again(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """Five SIGKILLs at random moments while batches flow; the same member comes back each time."""
    rng = random.Random(5)
    with flowing(feed):
        for _ in range(5):
            process = sinks.start(instance_id="phoenix")
            seen = tables.steps(feed)
            until("it stores something", lambda seen=seen: tables.steps(feed) > seen)  # type: ignore[misc]
            time.sleep(rng.uniform(0.0, 0.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
    process = sinks.start(instance_id="phoenix")
    tables.wait(feed)
    assert sinks.stop(process) == 0
    tables.check(feed)


def test_an_instance_id_is_waited_for(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """KIP-848 keeps the id of a member that was killed until its session ends: the next one tries again until then."""
    before = sinks.start(instance_id="phoenix", group_protocol="consumer")
    sinks.says("steps:", 0)
    before.send_signal(signal.SIGKILL)
    before.wait()
    feed.steps(20)
    feed.flush()
    process = sinks.start(instance_id="phoenix", group_protocol="consumer")
    sinks.says("sink.restart", 1)
    tables.wait(feed)
    assert sinks.stop(process) == 0
    tables.check(feed)


def test_a_zombie_changes_nothing(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """A sink stopped past its session while another takes over goes on, finds itself fenced, and rejoins."""
    with flowing(feed):
        zombie = sinks.start(group_protocol="classic", session_seconds="2")
        until("it stores", lambda: tables.steps(feed) > 0)
        zombie.send_signal(signal.SIGSTOP)
        other = sinks.start(group_protocol="classic", session_seconds="2")
        sinks.says("steps:", 1)  # taken over, after the session of the zombie
        seen = tables.steps(feed)
        until("the other one stores", lambda: tables.steps(feed) > seen)
        zombie.send_signal(signal.SIGCONT)
        sinks.says("sink.lost", 0)
    tables.wait(feed)
    assert sinks.stop(other) == 0
    assert sinks.stop(zombie) == 0
    tables.check(feed)


@pytest.fixture
def own_engine(tmp_path: Path) -> ClickHouseOptions:
    """Return an engine of this test's own, to be killed."""
    return ClickHouseOptions(tmp_path / "engine", free_port(), new_password(), new_password())


@pytest.mark.long
def test_an_engine_that_is_killed_again_and_again(
    feed: Feed, kafka_settings: KafkaSettings, own_engine: ClickHouseOptions, tmp_path: Path
) -> None:
    """SIGKILL of ClickHouse three times at random moments: the sink waits, replays, and counts."""
    settings = ClickHouseSettings(own_engine.url, OWNER, Secret(own_engine.owner_password), "runbus")
    service, output = clickhouse_service(own_engine), tmp_path / "engine.log"
    engine: RunningProcess = start(service, output)
    sinks = Sinks(environment(kafka_settings, settings), tmp_path)
    rng = random.Random(7)
    try:
        migrate(settings)
        process = sinks.start()
        with flowing(feed):
            for _ in range(3):
                tables = Tables(connect(settings))
                seen = tables.steps(feed)
                until("it stores", lambda tables=tables, seen=seen: tables.steps(feed) > seen)  # type: ignore[misc]
                time.sleep(rng.uniform(0.0, 0.5))
                engine.kill()
                engine = start(service, output)
        tables = Tables(connect(settings))
        tables.wait(feed)
        assert sinks.stop(process) == 0
        tables.check(feed)
    finally:
        sinks.kill_all()
        engine.stop()


def test_a_sink_that_starts_before_clickhouse_waits_for_it(
    feed: Feed, kafka_settings: KafkaSettings, own_engine: ClickHouseOptions, tmp_path: Path
) -> None:
    """It says so in one line and goes on when the engine is there."""
    settings = ClickHouseSettings(own_engine.url, OWNER, Secret(own_engine.owner_password), "runbus")
    service, output = clickhouse_service(own_engine), tmp_path / "engine.log"
    with running(service, output):
        migrate(settings)
    sinks = Sinks(environment(kafka_settings, settings), tmp_path)
    feed.steps(3)
    feed.flush()
    try:
        process = sinks.start()
        sinks.says("sink.waiting for ClickHouse")
        with running(service, output):
            tables = Tables(connect(settings))
            tables.wait(feed)
            assert sinks.stop(process) == 0
            tables.check(feed)
    finally:
        sinks.kill_all()


def test_a_missing_table_pauses_and_never_skips(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """While the landing is gone the committed offset stays; once it is back the sink goes on by itself."""
    feed.steps(3)
    feed.flush()
    process = sinks.start()
    tables.wait(feed)
    tables.client.command("RENAME TABLE steps_landing TO steps_landing_away")
    try:
        feed.steps(3)
        feed.flush()
        sinks.says("sink.paused")
        assert "configuration" in sinks.log()
        until("the range is announced", lambda: any(_pending(part) for part in committed(feed)))
        stored = tables.steps(feed)
        waiting = committed(feed)
        time.sleep(2.0)  # several attempts
        assert [part.offset for part in committed(feed)] == [part.offset for part in waiting]
        assert tables.steps(feed) == stored < feed.total
    finally:
        tables.client.command("RENAME TABLE steps_landing_away TO steps_landing")
    tables.wait(feed)
    assert sinks.stop(process) == 0
    tables.check(feed)


def _pending(part: TopicPartition) -> bool:
    intent = Intent.decode(part.metadata)
    return intent is not None and intent.pending


def committed(feed: Feed) -> list[TopicPartition]:
    """Return what the group committed for the steps topic, by partition."""
    prefix = feed.settings.topic_prefix
    asked = [TopicPartition(prefix + "steps", i) for i in range(4)]
    admin = AdminClient({**feed.settings.client_config()})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f"{prefix}sink", asked)]).values()
    return sorted(future.result(10).topic_partitions, key=lambda part: part.partition)


def test_a_replay_that_the_server_only_claims_is_repaired(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """The rows of an announced range vanish while its token stays: the next owner counts and repairs."""
    feed.steps(2)
    feed.flush()
    process = sinks.start()
    tables.wait(feed)
    assert sinks.stop(process) == 0
    announce_again(feed, tables)
    tables.client.command(
        "ALTER TABLE steps DELETE WHERE run_id = {run:String}",
        parameters={"run": feed.run},
        settings={"mutations_sync": "1"},
    )
    assert tables.steps(feed) == 0
    process = sinks.start()
    tables.wait(feed)
    assert sinks.stop(process) == 0
    assert "sink.repair" in sinks.log()
    tables.check(feed)


def announce_again(feed: Feed, tables: Tables) -> None:
    """Commit the intent of the whole log of each partition, as an owner left it whose server kept the token only."""
    prefix = feed.settings.topic_prefix
    consumer = Consumer({**feed.settings.client_config(), "group.id": f"{prefix}sink", "enable.auto.commit": False})
    for part in committed(feed):
        intent = Intent.decode(part.metadata)
        if intent is not None and part.offset > 0:
            pending = Intent(intent.topic_id, part.offset - 1, "salt")
            back = TopicPartition(part.topic, part.partition, 0, metadata=pending.encode())
            consumer.commit(offsets=[back], asynchronous=False)
            named = Fingerprint(schema("StepBatch").fingerprint)
            spend(tables, f"{intent.topic_id}:{part.partition}:0-{pending.hi}:{pending.salt}/{named}")
    consumer.close()


def spend(tables: Tables, token: str) -> None:
    """Let the server remember a token: with rows of another run, because only the name counts."""
    record = (0, encode(make_batch(f"spent-{uuid.uuid4().hex[:6]}", "a", 0, 1)), 0)
    container = Container(schema("StepBatch"), "spent", 0, [record])
    asyncio.run(ClickHouseStore(tables.client, "group").insert("steps_landing", container, token))


@pytest.mark.long  # short: tests/integration/cursors/test_cursors_sink.py, from the beginning
def test_offsets_that_were_moved_back_store_nothing_twice(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """An operator resets the group to the start, rows are missing here and there: each is counted, only they come."""
    feed.steps(6)
    feed.flush()
    process = sinks.start(range_steps="700")
    tables.wait(feed)
    assert sinks.stop(process) == 0
    tables.client.command(
        "ALTER TABLE steps DELETE WHERE run_id = {run:String} AND seq BETWEEN 200 AND 600",
        parameters={"run": feed.run},
        settings={"mutations_sync": "1"},
    )
    reset(feed)
    feed.steps(2)
    feed.flush()
    process = sinks.start(range_steps="1500")
    tables.wait(feed)
    assert sinks.stop(process) == 0
    assert "sink.overlap" in sinks.log()
    tables.check(feed)
    assert not any(_pending(part) for part in committed(feed))


def reset(feed: Feed) -> None:
    """Move the group to the start of `steps`, as Kafka's own tool does: without metadata."""
    prefix = feed.settings.topic_prefix
    consumer = Consumer({**feed.settings.client_config(), "group.id": f"{prefix}sink", "enable.auto.commit": False})
    back = [TopicPartition(part.topic, part.partition, 0) for part in committed(feed) if part.offset > 0]
    consumer.commit(offsets=back, asynchronous=False)
    consumer.close()


def test_a_topic_that_is_created_again_starts_anew(feed: Feed, sinks: Sinks, tables: Tables) -> None:
    """While the sink runs, the topic is deleted and made again: the first new batches are stored, the old ones stay."""
    process = sinks.start()
    feed.steps(3)
    feed.flush()
    tables.wait(feed)
    old = dict(feed.produced)
    name = feed.settings.topic_prefix + "steps"
    admin = AdminClient({**feed.settings.client_config()})
    admin.delete_topics([name])[name].result(30)
    until("it is gone", lambda: name not in admin.list_topics(timeout=10).topics)
    apply_topics(feed.settings, partitions=4)
    again = Feed(feed.settings, run=f"again-{uuid.uuid4().hex[:6]}")
    again.steps(5)
    again.flush()
    tables.wait(again)
    assert sinks.stop(process) == 0
    tables.check(again)
    feed.produced = old
    tables.check(feed)


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_records_that_retention_deleted_are_counted(feed: Feed, sinks: Sinks, tables: Tables, policy: str) -> None:
    """The loss is kept in lost_ranges; the sink stops with one clear line, or goes on if it was told to."""
    feed.steps(4, agents=1)
    feed.flush()
    process = sinks.start()
    tables.wait(feed)
    assert sinks.stop(process) == 0
    (part,) = [p for p in committed(feed) if p.offset > 0]
    feed.steps(6, agents=1)
    feed.flush()
    admin = AdminClient({**feed.settings.client_config()})
    for future in admin.delete_records([TopicPartition(part.topic, part.partition, 7)]).values():
        future.result(30)
    process = sinks.start(lost_range=policy)
    feed.produced["agent-0"] -= 3 * 256
    if policy == "continue":
        tables.wait(feed)
        assert sinks.stop(process) == 0
        assert tables.steps(feed) == feed.total
    else:
        assert process.wait(60) == 1
        assert "RUNBUS_SINK_LOST_RANGE=continue" in sinks.log().splitlines()[-1]
        assert tables.steps(feed) == 4 * 256
    found = tables.client.query(
        "SELECT partition, first_offset, last_offset FROM lost_ranges FINAL WHERE topic = {topic:String}",
        parameters={"topic": part.topic},
    ).result_rows
    assert found == [(part.partition, 4, 6)]


def test_sigterm_while_clickhouse_hangs_ends_within_the_grace(
    feed: Feed,
    sinks: Sinks,
    tables: Tables,
    kafka_settings: KafkaSettings,
    tmp_path: Path,
    own_engine: ClickHouseOptions,
) -> None:
    """An engine that is stopped answers nothing: the sink abandons its range, exits 0, and the next one stores it."""
    settings = ClickHouseSettings(own_engine.url, OWNER, Secret(own_engine.owner_password), "runbus")
    with running(clickhouse_service(own_engine), tmp_path / "engine.log") as engine:
        migrate(settings)
        mine = Sinks(environment(kafka_settings, settings), tmp_path)
        try:
            process = mine.start(grace_seconds="1")
            feed.steps(1)
            feed.flush()
            own = Tables(connect(settings))
            own.wait(feed)  # all its partitions are open: what is left to do is to insert
            until("nothing is announced", lambda: not any(_pending(part) for part in committed(feed)))
            os.kill(engine.pid, signal.SIGSTOP)
            feed.steps(3)
            feed.flush()
            until("a range is announced", lambda: any(_pending(part) for part in committed(feed)))
            assert mine.stop(process) == 0
            assert "sink.abandoned" in mine.log()
            os.kill(engine.pid, signal.SIGCONT)
            process = mine.start()
            mine.says("sink.assigned")
            own.wait(feed)
            assert mine.stop(process) == 0
            own.check(feed)
        finally:
            os.kill(engine.pid, signal.SIGCONT)
            mine.kill_all()
