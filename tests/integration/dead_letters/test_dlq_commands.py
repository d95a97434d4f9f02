"""`runbus dlq` on real engines: what can be read meanwhile is stored once at its place, what cannot stays dead."""

import asyncio
import random
import subprocess
import time
from pathlib import Path

import pytest

from runbus.audit.stream_audit import audit
from runbus.clickhouse.client import connect
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.kafka.clients import admin_client
from runbus.kafka.headers import letter_headers
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_ids import kafka_ids
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.ports import free_port
from runbus.local.process import start
from runbus.schemas.codec import Codec
from runbus.schemas.registry import SchemaRegistry
from tests.integration.dead_letters.dlq_command import Dlq, broken, deliver, good
from tests.integration.dead_letters.late_registry import LateRegistry
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, environment
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
KEY = b"one key"


def test_what_the_registry_learned_is_stored_and_what_is_broken_stays(
    feed: Feed, sinks: Sinks, tables: Tables, dlq: Dlq, late: LateRegistry, migrated: ClickHouseSettings, tmp_path: Path
) -> None:
    """An unknown id is dead until the registry knows it, then stored once however often; the audit is clean."""
    topic = feed.settings.topic_prefix + "steps"
    value = late.value(feed.run, "learned", 8, 8)
    for content in (good(feed, "learned", 0), value, good(feed, "learned", 16), broken(feed, 0)):
        feed.send("steps", KEY, content, partition=1)
    feed.produced["learned"] = 16
    feed.flush()
    sinks.env["SCHEMA_REGISTRY_URL"] = late.url
    deliver(feed, sinks, tables, 2)

    learned, hopeless = f"{topic}-1-1", f"{topic}-1-3"
    assert dlq.statuses("steps") == {learned: "dead", hopeless: "dead"}
    assert dlq.results("--all", code=1) == {learned: "dead", hopeless: "dead"}
    shown = dlq.json("show", learned)
    assert f"schema id {late.id} is not known" in shown["wrong"]
    assert (shown["letters"][0]["component"], shown["letters"][0]["offset"]) == ("sink", 1)
    dlq.run("show", learned, "--raw", str(tmp_path / "value"))
    assert (tmp_path / "value").read_bytes() == value

    late.learn()
    assert "count = 8" in dlq.run("show", learned)
    assert dlq.results("--all", "--topic", topic, code=1) == {learned: "stored", hopeless: "dead"}
    assert dlq.results(learned) == {learned: "already"}
    assert dlq.statuses(topic) == {learned: "stored", hopeless: "dead"}
    feed.produced["learned"] = 24
    tables.check(feed)
    installation = Installation(
        feed.settings, migrated, Codec(SchemaRegistry(late.url)), f"{feed.settings.topic_prefix}sink"
    )
    sums = audit(installation, feed.run).streams[StreamId(feed.run, "learned", 1)]
    assert (sums.produced, sums.stored, sums.missing, sums.duplicates) == (24, 24, 0, 0)


def test_a_letter_that_the_sink_has_not_passed_waits(feed: Feed, sinks: Sinks, tables: Tables, dlq: Dlq) -> None:
    """Another component may be ahead of the sink: retry says where it stands, and stores nothing beside it."""
    topic, prefix = feed.settings.topic_prefix + "steps", feed.settings.topic_prefix
    key, value = f"{topic}-1-0", good(feed, "ahead", 0)
    ids = asyncio.run(kafka_ids(admin_client(feed.settings), [topic]))
    headers = letter_headers("episodes", topic, "too late", topic_id=ids[topic], partition=1, offset=0)
    feed.producer.produce(f"{prefix}dead-letters", value=value, headers=list(headers))
    feed.flush()
    deliver(feed, sinks, tables, 1)
    (said,) = dlq.json("retry", key, code=1)
    assert said["result"] == "refused"
    assert "let `runbus sink` run until it is past offset 0, then retry" in said["reason"]
    feed.send("steps", KEY, value, partition=1)
    feed.produced["ahead"] = 8
    feed.flush()
    deliver(feed, sinks, tables, 1)
    assert dlq.results(key) == {key: "already"}
    tables.check(feed)


def test_what_was_never_there_is_told_in_one_line(dlq: Dlq) -> None:
    """A key that no letter has, and a command that says neither which letters nor --all."""
    (said,) = dlq.json("retry", "nothing-0-0", code=1)
    assert "no dead letter has this key" in said["reason"]
    process = dlq.start("show", "nothing-0-0")
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.count("\n")) == (1, 1)
    for wrong in ([], ["--all", "nothing-0-0"], ["nothing-0-0", "--topic", "steps"]):
        dlq.run("retry", *wrong, code=2)


RECORDS = 24


@pytest.mark.faults
@pytest.mark.parametrize("kills", [2, pytest.param(4, marks=pytest.mark.long)])
def test_retries_and_engines_that_are_killed_store_each_record_once(
    feed: Feed, kafka_settings: KafkaSettings, late: LateRegistry, tmp_path: Path, kills: int
) -> None:
    """Two retries at once, one of them and the engine killed again and again: every record is there exactly once."""
    options = ClickHouseOptions(tmp_path / "engine", free_port(), new_password(), new_password())
    settings = ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "runbus")
    service, output = clickhouse_service(options), tmp_path / "engine.log"
    engine = start(service, output)
    env = environment(kafka_settings, settings) | {"SCHEMA_REGISTRY_URL": late.url}
    sinks, dlq, rng = Sinks(env, tmp_path), Dlq(env, tmp_path), random.Random(11)
    running: list[subprocess.Popen[bytes]] = []
    try:
        migrate(settings)
        for number in range(RECORDS):
            feed.send("steps", KEY, late.value(feed.run, "learned", number * 50, 50), partition=number % 4)
        feed.flush()
        deliver(feed, sinks, Tables(connect(settings)), RECORDS)
        late.learn()
        feed.produced["learned"] = RECORDS * 50
        for kill in range(kills):
            logs = [tmp_path / f"retry-{kill}-{which}.log" for which in range(2)]
            running = [dlq.retry_all(log) for log in logs]
            goes_on(running[0], logs[0], rng.randint(1, 4))
            time.sleep(rng.uniform(0.0, 0.2))
            running[0].kill()
            if kill % 2:
                goes_on(running[1], logs[1], rng.randint(1, 8))
                engine.kill()
                engine = start(service, output)
            for process in running:
                process.wait(200)
        assert set(dlq.results("--all").values()) <= {"stored", "already"}
        assert set(dlq.results("--all").values()) == {"already"}
        Tables(connect(settings)).check(feed)
    finally:
        for process in running:
            process.kill()
            process.wait()
        sinks.kill_all()
        engine.stop()


def goes_on(process: subprocess.Popen[bytes], log: Path, letters: int) -> None:
    """Wait until a retry has stored so many letters itself, or has ended."""
    until(
        f"{letters} letters are stored",
        lambda: log.read_text().count("dlq.stored") >= letters or process.poll() is not None,
    )
