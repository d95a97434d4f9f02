"""The bus by MOSAIC's names: queues, drops that are said, and what the log's events become."""

from __future__ import annotations

import json
import math
import queue
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.mosaic import RunBus, TelemetryEvent, Topic
from runbus.mosaic.events import EpisodeId
from runbus.mosaic.payloads import telemetry_of
from runbus.reader.events import At, EpisodeFinalized, Heartbeat, LogEvent, RunFinished, RunStarted
from runbus.reader.steps import Steps
from runbus.recorder import ABSENT, Recorder
from runbus.recorder import RunBus as RecorderBus
from tests.support.recorded_rows import batches_of

quick = settings(max_examples=80, deadline=None, derandomize=True)
NOWHERE = At("x", 0, 0, 0, b"")


def event(topic: Topic = Topic.STEP_APPENDED, seq: int = 0, agent: str | None = "a") -> TelemetryEvent:
    """Return an event."""
    return TelemetryEvent(topic, "r", agent, seq, "2026-01-01T00:00:00+00:00", {"n": seq})


def taken(waiting: queue.Queue[TelemetryEvent]) -> list[TelemetryEvent]:
    """Return what waits."""
    return [waiting.get_nowait() for _ in range(waiting.qsize())]


@quick
@given(st.lists(st.sampled_from(["publish", "take", "other"]), max_size=60), st.integers(1, 8))
def test_a_queue_has_the_newest_and_every_drop_is_counted(calls: list[str], size: int) -> None:
    """Against a list that is cut; the topic OVERFLOW hears of the 1st, 2nd, 4th, ... drop."""
    bus = RunBus()
    mine, said = bus.subscribe_with_size(Topic.STEP_APPENDED, "gui", size), bus.subscribe(Topic.OVERFLOW, "gui")
    model: list[int] = []
    dropped = published = 0
    for call in calls:
        if call == "publish":
            bus.publish(event(seq=published))
            model.append(published)
            published += 1
            dropped += len(model) > size
            model = model[-size:]
        elif call == "other":
            bus.publish(event(Topic.EPISODE_FINALIZED))
        elif model:
            assert mine.get_nowait().seq_id == model.pop(0)
    assert [one.seq_id for one in taken(mine)] == model
    assert bus.overflow_stats() == ({"STEP_APPENDED:gui": dropped} if dropped else {})
    assert [one.payload["dropped"] for one in taken(said)] == [2**n for n in range(dropped.bit_length())]
    assert bus.sequence_stats() == ({"r:a": published - 1} if published else {})


def test_queues_are_named_and_let_go() -> None:
    """As MOSAIC's controllers ask."""
    bus = RunBus(max_queue=3)
    first, second = bus.subscribe(Topic.STEP_APPENDED, "a"), bus.subscribe(Topic.STEP_APPENDED, "b")
    bus.publish(event(agent=None))
    assert (bus.queue_sizes(), first.maxsize) == ({"STEP_APPENDED:a": 1, "STEP_APPENDED:b": 1}, 3)
    bus.unsubscribe(Topic.STEP_APPENDED, "b")
    bus.unsubscribe(Topic.STEP_APPENDED, "nobody")
    bus.publish(event())
    assert (first.qsize(), second.qsize(), bus.sequence_stats()) == (2, 1, {"r:default": 0, "r:a": 0})
    bus.reset_overflow_stats()
    assert bus.overflow_stats() == {}


def test_the_first_subscription_begins_to_follow() -> None:
    """Once."""
    begun: list[RunBus] = []
    bus = RunBus(on_subscription=begun.append)
    for name in "ab":
        bus.subscribe(Topic.STEP_APPENDED, name)
    assert begun == [bus]


def test_readers_on_other_threads_disturb_nobody() -> None:
    """What was read and what was dropped is what was published."""
    bus = RunBus()
    waiting = bus.subscribe_with_size(Topic.STEP_APPENDED, "gui", 4)
    seen: list[int] = []

    def read() -> None:
        while (one := waiting.get(timeout=60)).seq_id >= 0:
            seen.append(one.seq_id)

    reader = threading.Thread(target=read)
    reader.start()
    for seq in range(5000):
        bus.publish(event(seq=seq))
    bus.publish(event(seq=-1))
    reader.join()
    assert seen == sorted(seen)
    assert len(seen) + bus.overflow_stats().get("STEP_APPENDED:gui", 0) == 5000


def of_log(play: Any) -> list[TelemetryEvent]:
    """Return what the steps of a recorder are to MOSAIC."""
    bus = RecorderBus()
    subscription = bus.subscribe("test", max_events=10_000)
    with Recorder("r", "a", bus=bus, kafka=False, observations="all") as recorder:
        play(recorder)
    return [one for batch in batches_of(subscription.get_many(10_000)) for one in telemetry_of(Steps(NOWHERE, batch))]


def test_steps_have_the_payload_that_tabs_read() -> None:
    """Numbers are numbers, a reset is no step, the first step is 0; pictures and hints come from info."""

    def play(recorder: Recorder) -> None:
        recorder.reset(np.zeros(2, np.float32))
        info = {"render_payload": {"mode": "rgb"}, "render_hint": {"z": 1}, "worker_id": 7}
        recorder.step(np.int64(2**60), 0.5, False, False, np.array([0.1, 2], np.float32), info=info)
        recorder.step(np.int64(1), math.inf, True, False, ABSENT)

    first, second = of_log(play)
    assert (first.topic, first.run_id, first.agent_id, first.seq_id) == (Topic.STEP_APPENDED, "r", "a", 1)
    payload = first.payload
    assert json.loads(payload["observation_json"]) == [float(np.float32(0.1)), 2.0]
    assert {name: payload[name] for name in ("episode_index", "step_index", "reward", "terminated", "truncated")} == {
        "episode_index": 0, "step_index": 0, "reward": 0.5, "terminated": False, "truncated": False,
    }  # fmt: skip
    assert (payload["action_json"], payload["render_payload_json"], payload["render_hint_json"]) == (
        str(2**60), '{"mode": "rgb"}', '{"z": 1}',
    )  # fmt: skip
    assert (payload["worker_id"], payload["timestamp"], first.ts_iso[-6:]) == ("7", first.ts_iso, "+00:00")
    assert (second.seq_id, second.payload["step_index"], second.payload["observation_json"]) == (2, 1, "null")
    assert (second.payload["terminated"], second.payload["reward"], second.payload["render_hint_json"]) == (
        True,
        math.inf,
        "",
    )


@pytest.mark.parametrize(
    ("action", "text"),
    [("go", '"go"'), ({"a": np.arange(2), "b": (np.float64(1), "ü")}, '{"a": [0, 1], "b": [1.0, "ü"]}'),
     ([1, {"x": None}], '[1, {"x": null}]'), (np.arange(3), "[0, 1, 2]")],
)  # fmt: skip
def test_any_action_is_json(action: Any, text: str) -> None:
    """As a recorder keeps it."""

    def play(recorder: Recorder) -> None:
        recorder.reset()
        recorder.step(action, 0.0, False, False)

    assert of_log(play)[0].payload["action_json"] == text


def test_ends_and_episodes_are_said() -> None:
    """And what MOSAIC has no word for is not."""
    run: dict[str, Any] = {
        "at": NOWHERE, "run_id": "r", "agent_id": "a", "attempt": 1, "sent_at": 1_000_001, "started_at": 1,
        "observation_space": "", "action_space": "", "host": "h", "pid": 1, "version": "1",
    }  # fmt: skip
    started = RunStarted(**run, kind="STARTED", config='{"lr": 1}')
    finished = RunFinished(**run, kind="FINISHED", config="", produced=7, dropped=1, outcome="failed", error="no GPU")
    episode = EpisodeFinalized(
        at=NOWHERE, id="x", revision=2, run_id="r", agent_id="a", attempt=1, env=0, episode=3,
        reason="truncated", complete=True,
        missing_from=[], missing_to=[], return_=2.5, length=4, first_seq=5, last_seq=9, first_ts=0, last_ts=1_000_001,
        min_reward=0.0, max_reward=1.0, labels={"task": "t"},
    )  # fmt: skip
    heartbeat = object.__new__(Heartbeat)
    events: list[LogEvent] = [started, finished, episode, heartbeat]
    said = [one for event in events for one in telemetry_of(event)]
    assert [(one.topic, one.seq_id, one.ts_iso) for one in said] == [
        (Topic.RUN_STARTED, 0, "1970-01-01T00:00:01.000001+00:00"),
        (Topic.RUN_COMPLETED, 7, "1970-01-01T00:00:01.000001+00:00"),
        (Topic.EPISODE_FINALIZED, 9, "1970-01-01T00:00:01.000001+00:00"),
    ]
    assert (said[0].payload["config_json"], said[1].payload["outcome"], said[1].payload["error"]) == (
        '{"lr": 1}',
        "failed",
        "no GPU",
    )
    payload = said[2].payload
    assert (payload["total_reward"], payload["steps"], payload["truncated"], payload["terminated"]) == (
        2.5,
        4,
        True,
        False,
    )
    assert json.loads(payload["metadata_json"]) == {
        "task": "t",
        "episode_index": 3,
        "reason": "truncated",
        "complete": True,
    }
    assert EpisodeId.parse(payload["episode_id"]) == EpisodeId("r", "a", 1, 0, 3)


@pytest.mark.parametrize("text", ["", "r/a/1/0", "r/a/1/0/x", "r/a/1/0/3/4"])
def test_what_names_no_episode(text: str) -> None:
    """Has no steps."""
    assert EpisodeId.parse(text) is None
