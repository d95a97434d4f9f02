"""A worker that was killed has every open stream again, from its state as it was written and as compaction left it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from runbus.kafka.admin import apply_topics
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.batch import BatchHeader, StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, LiveMetrics
from tests.faults.load import START_US, framed
from tests.faults.stream_workers import KINDS, PARTITIONS, Cursor, workers
from tests.support.batches import step_columns
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(240)]

RUN = "run"
OPEN, GONE = 300, 150  # streams of a partition: that go on, and that are forgotten
STEPS = 4  # rows of a record
# What makes a stream of either app one that is forgotten: its episode is over and it is silent; it is one too many.
# An episode is remembered for its grace at least, which is a minute, as long as this test waits, unless it is said.
ENV = {
    "RUNBUS_EPISODES_REMEMBER_HOURS": "0.001",
    "RUNBUS_EPISODES_GRACE_SECONDS": "1",
    "RUNBUS_LIVE_METRICS_STREAMS": str(OPEN),
}
# Long enough for any machine: no episode of this test may end by silence.
LONG_IDLE = {"RUNBUS_EPISODES_IDLE_SECONDS": "3600"}


def agents(prefix: str, each: int) -> list[str]:
    """Return agents, as many in each partition."""
    found: dict[int, list[str]] = {partition: [] for partition in range(PARTITIONS)}
    number = 0
    while any(len(names) < each for names in found.values()):
        name = f"{prefix}-{number}"
        mine = found[partition_of(stream_key(RUN, name), PARTITIONS)]
        if len(mine) < each:
            mine.append(name)
        number += 1
    return [name for names in found.values() for name in names]


def record(agent: str, number: int, over: bool = False) -> tuple[bytes, bytes]:
    """Return key and value of the nth record of an agent; `over` = its last row ends the episode."""
    seq = np.arange(number * STEPS, (number + 1) * STEPS)
    terminated = np.zeros(STEPS, "u1")
    terminated[-1] = over
    columns = step_columns(seq, ts=START_US + seq, reward=np.ones(STEPS), terminated=terminated)
    body = encode(StepBatch(BatchHeader(RUN, agent, 1, int(seq[0]), STEPS, 0, 0), columns))
    return stream_key(RUN, agent), framed("StepBatch", body)


Send = Callable[[Iterable[tuple[bytes, bytes]]], None]


@pytest.fixture
def send(kafka_settings: KafkaSettings) -> Send:
    """Return what appends records to `steps`."""
    producer = Producer({**kafka_settings.client_config(), "partitioner": "murmur2", "linger.ms": 5})

    def send(records: Iterable[tuple[bytes, bytes]]) -> None:
        for key, value in records:
            producer.produce(f"{kafka_settings.topic_prefix}steps", key=key, value=value)
        assert producer.flush(30) == 0

    return send


# The broker compacts what is closed.
OPEN_FOR_A_WEEK = {"segment.ms": "604800000"}
AT_ONCE = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}


def configure(settings: KafkaSettings, topic: str, config: dict[str, str]) -> None:
    """Change how a topic is compacted."""
    entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in config.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({**settings.client_config()})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(15)


def check_episodes(log: TopicReader, alive: list[str], gone: list[str]) -> bool:
    """Return whether each stream's episode is there, fail where one is double or not whole."""
    events = [EpisodeFinalized.decode(Codec().open(m.value(), "EpisodeFinalized")[1]) for m in log.read("episodes")]
    assert {event.revision for event in events} == {1}
    found = {event.agent_id: (event.reason, event.length, event.return_, event.complete) for event in events}
    assert len(found) == len(events)
    wanted = dict.fromkeys(alive, ("terminated", 5 * STEPS - 1, 5 * STEPS - 1.0, True))
    wanted |= dict.fromkeys(gone, ("terminated", STEPS - 1, STEPS - 1.0, True))
    return found == wanted


def check_live(log: TopicReader, alive: list[str]) -> bool:
    """Return whether the newest totals of each open stream are what was sent."""
    events = [LiveMetrics.decode(Codec().open(m.value(), "LiveMetrics")[1]) for m in log.read("live-metrics")]
    found = {event.agent_id: (event.steps, event.last_return, event.last_length) for event in events}
    whole = 5 * STEPS - 1
    return all(found.get(agent) == (whole, float(whole), whole) for agent in alive)


@pytest.mark.parametrize(
    "compacted", [pytest.param(False, marks=pytest.mark.long, id="written"), pytest.param(True, id="compacted")]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_worker_has_every_open_stream_again(
    kind: str, compacted: bool, kafka_settings: KafkaSettings, send: Send, tmp_path: Path, backend: str
) -> None:
    """1800 streams of which 600 are forgotten, each of the others written five times, a SIGKILL: all is exact."""
    if compacted and backend == "containers":
        pytest.skip("Redpanda closes no segment within ten minutes")
    alive, gone = agents("alive", OPEN), agents("gone", GONE)
    changelog, log = f"{kind}-state-changelog", TopicReader(kafka_settings)
    apply_topics(kafka_settings, partitions=PARTITIONS)
    configure(kafka_settings, kafka_settings.topic_prefix + changelog, AT_ONCE if compacted else OPEN_FOR_A_WEEK)
    with workers(kind, kafka_settings, tmp_path, **ENV, **LONG_IDLE) as started:
        cursor = Cursor(kafka_settings, started.group)
        process = started.start()
        send(record(agent, 0, over=True) for agent in gone)
        for number in range(4):
            send(record(agent, number) for agent in alive)
            until("the worker takes them", cursor.at_end)

        def tombstones() -> bool:
            # What is forgotten is deleted by the next commit of its partition, which takes a record; one that comes
            # twice changes nothing else.
            send([record(agent, 0) for agent in alive[::OPEN]])
            newest = {message.key(): message.value() for message in log.read(changelog)}
            return not any(value for key, value in newest.items() if key and b"/gone-" in key)

        def shrunk() -> bool:
            send([record(agent, 0) for agent in alive[::OPEN]])  # a segment closes when something is appended
            return len(log.read(changelog)) < len(alive) + len(gone) + 300

        until("what is gone is deleted from the state", tombstones)
        if compacted:
            until("the state is compacted", shrunk)
        else:
            assert len(log.read(changelog)) > 4 * len(alive)
        until("the worker takes them", cursor.at_end)
        started.kill(process)

        process = started.start()
        until("it has its partitions", lambda: started.log(process).count("streams.opened") == PARTITIONS)
        opened = re.findall(r"streams\.opened.*'streams': (\d+)", started.log(process))
        assert [int(streams) for streams in opened] == [OPEN] * PARTITIONS
        send(record(agent, 4, over=True) for agent in alive)
        if kind == "episodes":
            until("every episode is there, once and whole", lambda: check_episodes(log, alive, gone))
        else:
            until("the totals are exact", lambda: check_live(log, alive))
        started.stop(process)
        cursor.close()
    assert log.read("dead-letters") == []
