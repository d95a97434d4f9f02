"""From a recorder to the arrays that a Reader hands out, on a real broker."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.reader import (
    EpisodeFinalized,
    Heartbeat,
    LiveMetrics,
    Reader,
    RunFinished,
    RunStarted,
    Steps,
    Unreadable,
    UnreadableRecord,
)
from runbus.recorder import ABSENT, Recorder, RunBus
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized as EpisodeRecord
from runbus.schemas.events import LiveMetrics as MetricsRecord
from tests.integration.reader.log import AGENT, ATTEMPT, RUN, Log, batch, seqs, take

pytestmark = pytest.mark.integration

EPISODE = EpisodeRecord(
    id="e",
    revision=0,
    run_id=RUN,
    agent_id=AGENT,
    attempt=ATTEMPT,
    env=0,
    episode=3,
    reason="terminated",
    complete=True,
    missing_from=[],
    missing_to=[],
    return_=2.5,
    length=4,
    first_seq=0,
    last_seq=4,
    first_ts=1,
    last_ts=2,
    min_reward=0.0,
    max_reward=1.0,
)
METRICS = MetricsRecord(
    run_id=RUN,
    agent_id=AGENT,
    attempt=ATTEMPT,
    sent_at=5,
    newest_ts=4,
    steps=7,
    steps_per_second=3.5,
    episodes=1,
    last_return=2.5,
    running_return=0.0,
    last_length=4,
    running_length=0,
    dropped=0,
    reasons={},
    positions={},
)


def test_what_was_recorded_comes_as_arrays_of_its_dtypes(settings: KafkaSettings) -> None:
    """Reset and steps, numbers and nested values, what is logged, absent or said of a step: as the loop gave it."""
    with Recorder(
        RUN, AGENT, config={"lr": 0.1}, action_space='{"type":"Discrete"}', bus=RunBus(), settings=settings
    ) as recorder:
        recorder.reset({"at": np.array([0.5, 1.5], np.float32), "n": np.int8(1)}, seed=2**70, labels={"task": "maze"})
        recorder.log({"loss": 0.25})
        recorder.step(
            np.int64(3), 0.5, False, False, {"at": np.array([2.5, 3.5], np.float32), "n": np.int8(2)}, kind="model"
        )
        recorder.step(ABSENT, 1.0, True, False, {"at": np.array([4.5, 5.5], np.float32), "n": np.int8(3)}, stop="won")
    assert recorder.flush(10)
    with Reader(topics="steps", start="beginning", settings=settings) as reader:
        (event,) = take(reader, 1)
    assert isinstance(event, Steps)
    assert (event.run_id, event.agent_id, event.attempt) == (RUN, AGENT, recorder.attempt)
    assert (event.at.topic, event.at.offset, event.at.key) == (f"{settings.topic_prefix}steps", 0, b"run-1/agent-0")
    assert (event.first_seq, event.last_seq, len(event), event.gap) == (0, 2, 3, None)
    assert event.observation["at"].tolist() == [[0.5, 1.5], [2.5, 3.5], [4.5, 5.5]]
    assert (event.observation["at"].dtype, event.observation["n"].dtype) == (np.float32, np.int8)
    assert event.action.tolist() == [0, 3, 0]
    assert event.has_action.tolist() == [False, True, False]
    assert event.reward.tolist() == [0.0, 0.5, 1.0]
    assert event.terminated.tolist() == [False, False, True]
    rows, values = event.logged["loss"]
    assert (rows.tolist(), values.tolist()) == ([1], [0.25])
    assert event.labels == {"task": {0: "maze"}}
    assert event.seeds == {0: 2**70}
    assert (event.kind[1], event.stop[2]) == ("model", "won")


def test_every_kind_of_event_has_its_class_and_its_place(settings: KafkaSettings, log: Log) -> None:
    """Runs, episodes, live metrics and heartbeats come with the fields of their records, and where these lie."""
    with Recorder(RUN, AGENT, config={"lr": 0.1}, bus=RunBus(), settings=settings) as recorder:
        recorder.reset(0.0)
    assert recorder.flush(10)
    key = stream_key(RUN, AGENT)
    log.values("episodes", [(key, Codec().frame("", schema("EpisodeFinalized"), EPISODE.encode()))])
    log.values("live-metrics", [(key, Codec().frame("", schema("LiveMetrics"), METRICS.encode()))])
    with Reader(topics=["runs", "episodes", "live-metrics", "heartbeats"], start="beginning", settings=settings) as r:
        found = {type(event): event for event in take(r, 5)}
    started, finished, episode = found[RunStarted], found[RunFinished], found[EpisodeFinalized]
    assert isinstance(started, RunStarted)
    assert json.loads(started.config) == {"lr": 0.1}
    assert isinstance(finished, RunFinished)
    assert (finished.outcome, finished.produced) == ("completed", 1)
    assert isinstance(episode, EpisodeFinalized)
    assert (episode.return_, episode.at.key) == (2.5, key)
    assert isinstance(found[LiveMetrics], LiveMetrics)
    assert isinstance(found[Heartbeat], Heartbeat)
    assert all(event.at.timestamp_ms > 0 for event in found.values())


def test_a_record_that_cannot_be_decoded_is_an_event_or_an_error_and_reading_goes_on(
    settings: KafkaSettings, log: Log
) -> None:
    """Its bytes and its place are told; the records around it come; the cursor passes it."""
    key = stream_key(RUN, AGENT)
    log.batches(batch(0))
    log.values("steps", [(key, b"junk"), (key, b"\xc3\x01unknown!more")])
    log.batches(batch(4))
    with Reader("told", settings=settings) as reader:
        first, junk, newer, last = take(reader, 4)
        assert seqs([first, last]) == list(range(8))
        assert isinstance(junk, Unreadable)
        assert (junk.value, junk.unknown_schema, junk.at.offset) == (b"junk", False, 1)
        assert isinstance(newer, Unreadable)
        assert newer.unknown_schema
        assert "upgrade RunBus" in newer.reason
        reader.commit()
    with Reader("raised", on_unreadable="raise", settings=settings) as reader:
        take(reader, 1)
        for _ in range(2):
            with pytest.raises(UnreadableRecord, match="steps:"):
                take(reader, 1)
        assert seqs(take(reader, 1)) == [4, 5, 6, 7]
    with Reader(on_unreadable="skip", start="beginning", settings=settings) as reader:
        assert seqs(take(reader, 2)) == list(range(8))
        assert reader.stats()["unreadable"] == 2


def test_what_is_missing_dropped_late_or_repeated_is_told_once(settings: KafkaSettings, log: Log) -> None:
    """A gap as (first, last) with the event behind it; a record that was sent again is not handed out again."""
    log.batches(
        batch(0),
        batch(8, dropped=4),  # 4 to 7 are gone, and the header says so
        batch(8, dropped=4),  # the same again
        batch(10, 4, dropped=4),  # two of these came before
        batch(4, dropped=4),  # what was missing comes after all
        batch(20, dropped=10),
    )
    with Reader(start="beginning", settings=settings) as reader:
        events = [event for event in take(reader, 5) if isinstance(event, Steps)]
        assert [(e.first_seq, e.last_seq) for e in events] == [(0, 3), (8, 11), (12, 13), (4, 7), (20, 23)]
        assert [e.gap for e in events] == [None, (4, 7), None, None, (14, 19)]
        assert [e.newly_dropped for e in events] == [0, 4, 0, 0, 6]
        assert [e.late for e in events] == [False, False, False, True, False]
        assert reader.poll(0.2) is None
        stats = reader.stats()
    assert (stats["missing"], stats["dropped"], stats["repeated"], stats["steps"]) == (10, 10, 6, 18)


def test_a_restart_knows_what_came_before_the_cursor(settings: KafkaSettings, log: Log) -> None:
    """A gap across a restart is told, a repeat across it is not handed out, and nothing else is called a gap."""
    log.batches(batch(0), batch(4, dropped=1))
    with Reader("gui-1", settings=settings) as reader:
        assert seqs(take(reader, 2)) == list(range(8))
        reader.commit()
    log.batches(batch(4, dropped=1), batch(12, dropped=5), replace(batch(0, agent="another")))
    with Reader("gui-1", settings=settings) as reader:
        found = {e.agent_id: e for e in take(reader, 2) if isinstance(e, Steps)}
        mine = found[AGENT]
        assert (mine.first_seq, mine.gap, mine.newly_dropped) == (12, (8, 11), 4)
        assert (found["another"].gap, found["another"].newly_dropped) == (None, 0)
        assert reader.poll(0.2) is None
