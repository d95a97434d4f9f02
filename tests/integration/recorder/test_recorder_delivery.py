"""From `Recorder` to the log and back, on a real broker."""

import json
import logging
import os
import random
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import NewTopic

from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import TOPICS
from runbus.recorder import Recorder, RunBus
from runbus.recorder.link import Link, ProducerRecord
from runbus.recorder.settings import CourierSettings
from runbus.schemas.batch import NO_SEED
from runbus.schemas.layout import decode_value, unpack
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration


def test_every_field_arrives_exactly(settings: KafkaSettings, topic_log: Any) -> None:
    """Reset and step rows come back with their exact values, in order, under the stream's key."""
    observations = [np.array([0.1 * i, -1e300 * i], np.float64) for i in range(4)]
    with Recorder("run-1", "agent-7", bus=RunBus(), settings=settings) as recorder:
        recorder.reset(observations[0], seed=2**62)
        recorder.step(np.int64(3), 0.1, False, False, observations[1], info={"lives": 2}, tick=10)
        recorder.log({"loss": 0.25})
        recorder.step(np.int64(-1), np.float32(2.5), True, False, observations[2], tick=11)
        recorder.reset(observations[3])
    assert recorder.flush(10)

    (batch,) = topic_log.batches()
    columns = batch.columns
    assert (batch.header.run_id, batch.header.agent_id, batch.header.attempt) == ("run-1", "agent-7", recorder.attempt)
    assert (batch.header.first_seq, batch.header.count, batch.header.dropped) == (0, 4, 0)
    assert columns.episode.tolist() == [0, 0, 0, 1]
    assert columns.step.tolist() == [0, 1, 2, 0]
    assert columns.reward.tolist() == [0.0, 0.1, 2.5, 0.0]
    assert columns.terminated.tolist() == [0, 0, 1, 0]
    assert columns.tick is not None
    assert columns.tick.tolist() == [-1, 10, 11, -1]
    assert columns.seed is not None
    assert columns.seed.tolist() == [2**62, NO_SEED, NO_SEED, NO_SEED]
    assert np.frombuffer(batch.action, "<i8").tolist() == [0, 3, -1, 0]
    seen = [
        decode_value(batch.header.observation, raw) for raw in unpack(batch.header.observation, batch.observation, 4)
    ]
    assert all((a == b).all() and a.dtype == b.dtype for a, b in zip(seen, observations, strict=True))
    assert [(e.name, e.rows.tolist(), e.values.tolist()) for e in batch.extras] == [("loss", [2], [0.25])]
    assert batch.info == ("", '{"lives":2}', "", "")
    assert [m.key() for m in topic_log.read("steps")] == [b"run-1/agent-7"]


def test_the_run_events_frame_the_stream(settings: KafkaSettings, topic_log: Any) -> None:
    """STARTED says what the run is; FINISHED repeats it and adds exact counts, outcome and summary."""
    config = {"lr": 1e-3, "arch": [64, 64], "nan": float("nan")}
    with Recorder(
        "run-2", config=config, action_space='{"type":"Discrete"}', bus=RunBus(), settings=settings
    ) as recorder:
        recorder.reset(1.0)
        for i in range(600):
            recorder.log({"loss": float(i)})
            recorder.step(i, 1.0, False, False, 2.0)
    assert recorder.flush(10)

    started, finished = topic_log.runs()
    assert (started.kind, started.produced, started.outcome) == ("STARTED", 0, "")
    assert json.loads(started.config) == {"lr": 1e-3, "arch": [64, 64], "nan": "NaN"}
    assert (finished.kind, finished.produced, finished.dropped, finished.episodes) == ("FINISHED", 601, 0, 1)
    assert (finished.outcome, finished.error) == ("completed", "")
    assert json.loads(finished.summary) == {"loss": 599.0}
    assert (finished.host, finished.pid, finished.attempt) == (socket.gethostname(), os.getpid(), recorder.attempt)
    assert (finished.config, finished.action_space) == (started.config, started.action_space)
    assert {m.key() for m in topic_log.read("runs")} == {f"run-2/agent-0/{recorder.attempt}".encode()}


@pytest.fixture
def small_runs(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics; `runs` takes at most 50,000 bytes at a time.

    It is made so: a limit that is set later holds some time after the broker said that it is set.
    """
    prefix = kafka_settings.topic_prefix
    configs = {topic.name: topic.config() for topic in TOPICS}
    configs["runs"] |= {"max.message.bytes": "50000"}
    topics = [NewTopic(prefix + name, num_partitions=1, config=config) for name, config in configs.items()]
    for done in admin_client(kafka_settings).create_topics(topics).values():
        done.result(30)
    return kafka_settings


def test_a_topic_of_small_records_still_gets_start_and_end(small_runs: KafkaSettings) -> None:
    """What is too large for it is left out of the config; nothing else of the event is."""
    weights = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=200_000))  # it does not compress
    with Recorder("run-1", config={"lr": 0.1, "weights": weights}, bus=RunBus(), settings=small_runs) as recorder:
        recorder.reset(0.0)
    assert recorder.flush(30)
    started, finished = TopicReader(small_runs).runs()
    assert (started.kind, finished.kind, finished.produced) == ("STARTED", "FINISHED", 1)
    for event in (started, finished):
        assert json.loads(event.config) == {"lr": 0.1, "weights": {"left_out_bytes": 200_002}}


def test_a_record_is_not_refused_for_the_size_of_its_neighbours(small_runs: KafkaSettings) -> None:
    """The broker refuses a batch as a whole; what fits by itself is delivered, what does not is refused."""
    topic = f"{small_runs.topic_prefix}runs"
    link = Link(CourierSettings(small_runs))
    outcomes: dict[int, str] = {}

    def send(number: int, value: bytes) -> None:
        def done(error: KafkaError | None, _value: bytes) -> None:
            outcomes[number] = error.name() if error else ""

        assert link.send(ProducerRecord(topic, b"key", value, done))

    send(0, b"small")
    send(1, random.Random(0).randbytes(60_000))
    send(2, random.Random(1).randbytes(40_000))
    send(3, random.Random(2).randbytes(40_000))

    def settled() -> bool:
        link.poll(0.1)
        return len(outcomes) == 4

    until("the broker took or refused each", settled)
    link.close()
    assert outcomes == {0: "", 1: "MSG_SIZE_TOO_LARGE", 2: "", 3: ""}


def test_an_exception_in_the_with_block_passes_and_is_the_outcome(settings: KafkaSettings, topic_log: Any) -> None:
    """The same exception object leaves the block; FINISHED says failed, and why."""
    error = RuntimeError("the simulator fell over")
    with (  # noqa: PT012
        pytest.raises(RuntimeError) as caught,
        Recorder("run-3", bus=RunBus(), settings=settings) as recorder,
    ):
        recorder.reset(0.0)
        raise error
    assert caught.value is error
    assert recorder.flush(10)
    finished = topic_log.runs()[-1]
    assert (finished.outcome, finished.error) == ("failed", "RuntimeError: the simulator fell over")


def test_a_vector_environment_arrives_row_by_row(settings: KafkaSettings, topic_log: Any) -> None:
    """Blocks of n environments become rows with the right env, episode and step, resets included."""
    with Recorder("run-4", bus=RunBus(), settings=settings) as recorder:
        recorder.reset_vector(np.zeros((3, 2), np.float32), seeds=[7, None, 9])
        recorder.step_vector(
            np.array([1, 2, 3]), [1.0, 2.0, 3.0], [False, True, False], [False] * 3, np.ones((3, 2), np.float32)
        )
        recorder.step_vector(
            np.array([4, 5, 6]),
            [4.0, 5.0, 6.0],
            [False] * 3,
            [False] * 3,
            np.full((3, 2), 2, np.float32),
            resets=[False, True, False],
        )
    assert recorder.flush(10)
    (batch,) = topic_log.batches()
    columns = batch.columns
    assert columns.env.tolist() == [0, 1, 2] * 3
    assert columns.episode.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert columns.step.tolist() == [0, 0, 0, 1, 1, 1, 2, 0, 2]
    assert columns.reward.tolist() == [0, 0, 0, 1, 2, 3, 4, 0, 6]
    assert np.frombuffer(batch.action, "<i8").tolist() == [0, 0, 0, 1, 2, 3, 4, 0, 6]
    assert columns.seed is not None
    assert columns.seed.tolist()[:3] == [7, NO_SEED, 9]
    assert np.frombuffer(batch.observation, "<f4").tolist() == [0.0] * 6 + [1.0] * 6 + [2.0] * 6


def test_a_step_that_no_record_can_hold_is_recorded_without_its_largest_part(
    settings: KafkaSettings, topic_log: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a 5 MB step all but the observation arrives, visibly; the steps around it are whole; none is dropped."""
    with Recorder("run-5", bus=RunBus(), settings=settings, observations="all") as recorder:
        for size in (10, 5_000_000, 10):
            recorder.step(0, 1.0, False, size > 10, np.arange(size, dtype=np.uint8))
    assert recorder.flush(20)
    assert topic_log.seqs() == {("run-5", "agent-0", recorder.attempt): [0, 1, 2]}
    (large,) = [batch for batch in topic_log.batches() if batch.header.observation.dtype.startswith("omitted:")]
    assert (large.header.first_seq, large.header.count, large.columns.truncated.tolist()) == (1, 1, [1])
    assert large.header.observation.shape == (-1,)  # arrays of one stream whose length differs share a layout
    assert [(extra.name, extra.values.tolist()) for extra in large.extras] == [("left_out.observation", [1.0])]
    finished = topic_log.runs()[-1]
    assert (finished.produced, finished.dropped) == (3, 0)
    assert topic_log.read("dead-letters") == []
    (message,) = [r.getMessage() for r in caplog.records if "too large for a record" in r.getMessage()]
    assert "step 1 of run-5/agent-0" in message
    assert "observations='auto'" in message


def test_a_batch_over_the_limit_is_split(settings: KafkaSettings, topic_log: Any) -> None:
    """One call of a vector environment that is larger than a record arrives in several, complete and in order."""
    observations = np.arange(64 * 50_000, dtype=np.float32).reshape(64, 50_000)  # 12.8 MB
    with Recorder("run-6", bus=RunBus(), settings=settings, observations="all") as recorder:
        recorder.step_vector(np.arange(64), np.arange(64.0), [False] * 64, [False] * 64, observations)
    assert recorder.flush(20)
    batches = topic_log.batches()
    assert len(batches) >= 4
    assert topic_log.seqs() == {("run-6", "agent-0", recorder.attempt): list(range(64))}
    assert b"".join(b.observation for b in batches) == observations.tobytes()
    assert [r for b in batches for r in b.columns.reward.tolist()] == list(range(64))


def test_the_heartbeat_shows_the_process(settings: KafkaSettings, topic_log: Any) -> None:
    """Every recording process reports its counts and its queues."""
    with Recorder("run-7", bus=RunBus(), settings=settings) as recorder:
        recorder.reset(0.0)
        recorder.step(1, 1.0, False, False, 0.0)
    assert recorder.flush(10)
    beat = topic_log.heartbeats()[0]
    assert beat.kind == "recorder"
    assert beat.component_id.startswith(f"recorder-{socket.gethostname()}-{os.getpid()}")
    assert "kafka" in json.loads(beat.detail)["bus"]


def test_a_missing_topic_is_one_clear_error_and_nothing_is_lost(
    kafka_settings: KafkaSettings, read_log: Callable[[KafkaSettings], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Without topics the recorder says what to do, once; the steps arrive when the topics are there."""
    recorder = Recorder("run-8", bus=RunBus(), settings=kafka_settings)
    for _ in range(300):
        recorder.step(1, 1.0, False, False, 0.0)
    recorder.close()
    assert not recorder.flush(1.5)
    apply_topics(kafka_settings, partitions=2)
    assert recorder.flush(20)
    assert read_log(kafka_settings).seqs() == {("run-8", "agent-0", recorder.attempt): list(range(300))}
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "runbus topics apply" in errors[0]
