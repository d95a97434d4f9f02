"""The board: what records of the log become on a page, and what time alone changes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from runbus.dashboard.live.board import Board, Taken, episodes_channel, streams_channel
from runbus.dashboard.live.hub import Hub
from runbus.dashboard.live.rows import small_config
from runbus.dashboard.live.silence import Silence
from runbus.dashboard.live.states import State, run_state, stream_state
from runbus.kafka.model import StreamId
from runbus.live_metrics.measure import Measure
from runbus.recorder.encoding import framed as framed_for
from runbus.schemas import metric_batch
from runbus.schemas.annotations import annotation_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import Annotation, EpisodeFinalized, Event, Heartbeat, LiveMetrics, RunEvent
from runbus.schemas.metric_batch import MetricHeader
from tests.support.batches import make_metrics

START = 1_700_000_000_000_000
STREAM = StreamId("run", "agent", START)
RECORDER = "recorder-host-7"


def framed(event: Event) -> bytes:
    """Return the value of an event."""
    return framed_for(event, "topic", Codec())


class Scene:
    """A board that is given records at a time of the test."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.board = Board(Codec(), "runbus.", self.hub)
        self.now = 100.0
        self._offsets: dict[str, int] = {}

    def read(self, topic: str, key: str, event: Event | bytes, age_s: float = 0.0) -> None:
        """Have the board take a record."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        value = event if isinstance(event, bytes) else framed(event)
        self.board.take(Taken(topic, key, value, 0, offset, int(self.now * 1e3)), self.now, age_s)

    def started(self, stream: StreamId = STREAM, **more: Any) -> None:
        """A stream begins."""
        self.read("runs", f"{stream}", run_event(stream, kind="STARTED", **more))

    def finished(self, stream: StreamId = STREAM, outcome: str = "completed", **more: Any) -> None:
        """A stream ends."""
        self.read("runs", f"{stream}", run_event(stream, kind="FINISHED", outcome=outcome, **more))

    def metrics(self, stream: StreamId = STREAM, **more: Any) -> None:
        """Live metrics of a stream come."""
        self.read("live-metrics", f"{stream.run_id}/{stream.agent_id}", live_metrics(stream, **more))

    def beat(self, component: str = RECORDER, age_s: float = 0.0, **more: Any) -> None:
        """A heartbeat comes."""
        kind = component.split("-", maxsplit=1)[0]
        beat = Heartbeat(
            component_id=component, kind=kind, sent_at=int(self.now * 1e6), started_at=0, version="1", **more
        )
        self.read("heartbeats", component, beat, age_s)

    def tick(self, *watched: str) -> None:
        """Tell the hub what changed."""
        self.board.tick(set(watched), self.now)

    def later(self, seconds: float, beats: tuple[str, ...] = ("dashboard-host-1",)) -> None:
        """Let time pass in which heartbeats come every second."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            for component in beats:
                self.beat(component)
        self.tick("runs")

    def run(self, run: str = "run") -> dict[str, Any]:
        """Return the row of a run."""
        row = self.board.row("runs", run, self.now)
        assert row is not None
        return row


def framed_metrics(stream: StreamId) -> bytes:
    """Return the value of a record of metrics."""
    body = metric_batch.encode(make_metrics(MetricHeader(*stream, 0, 3, 0, 1)))
    return Codec().frame("runbus.metrics", schema("MetricBatch"), body)


def run_event(stream: StreamId, **more: Any) -> RunEvent:
    """Return an event of a stream."""
    about = {"sent_at": START, "started_at": stream.attempt, "host": "host", "pid": 7, **more}
    return RunEvent(run_id=stream.run_id, agent_id=stream.agent_id, attempt=stream.attempt, **about)


def live_metrics(stream: StreamId, **more: Any) -> LiveMetrics:
    """Return live metrics of a stream."""
    numbers: dict[str, Any] = {
        "sent_at": START,
        "newest_ts": START,
        "steps": 10,
        "steps_per_second": 5.0,
        "episodes": 1,
        "last_return": 1.0,
        "running_return": 0.5,
        "last_length": 9,
        "running_length": 1,
        "dropped": 0,
        "reasons": {"terminated": 1},
        "positions": {},
    }
    return LiveMetrics(run_id=stream.run_id, agent_id=stream.agent_id, attempt=stream.attempt, **(numbers | more))


def episode(number: int, return_: float = 1.0, revision: int = 0, **more: Any) -> EpisodeFinalized:
    """Return a finalised episode."""
    about = {"complete": True, "missing_from": [], "missing_to": [], "reason": "terminated", **more}
    return EpisodeFinalized(
        id=f"{number}",
        revision=revision,
        run_id="run",
        agent_id="agent",
        attempt=START,
        env=0,
        episode=number,
        return_=return_,
        length=5,
        first_seq=6 * number,
        last_seq=6 * number + 5,
        first_ts=START,
        last_ts=START,
        min_reward=0.0,
        max_reward=1.0,
        **about,
    )


def test_a_run_is_running_while_its_recorder_lives_and_steps_come() -> None:
    """Its figures are the sums of its streams."""
    scene, other = Scene(), STREAM._replace(agent_id="other")
    for stream in (STREAM, other):
        scene.started(stream, labels={"team": "red"}, config='{"lr": 0.1}')
        scene.metrics(stream)
    scene.beat()
    scene.tick()
    row = scene.run()
    assert {name: row[name] for name in ("state", "agents", "steps", "sps")} == {
        "state": "running",
        "agents": 2,
        "steps": 20,
        "sps": 10.0,
    }
    assert (row["labels"], row["config"]) == ({"team": "red"}, {"lr": 0.1})
    totals = scene.board.row("totals", "", scene.now)
    assert totals is not None
    assert (totals["running"], totals["steps_per_second"]) == (1, 10.0)


def test_a_recorder_that_lives_without_steps_is_stalled_and_a_silent_one_has_lost_contact() -> None:
    """Never "crashed": who is silent may come back, and a heartbeat is enough for that."""
    scene = Scene()
    scene.started()
    scene.metrics()
    scene.beat()
    scene.tick()
    scene.later(11, (RECORDER,))
    assert scene.run()["state"] == "stalled"
    assert scene.run()["sps"] == 0.0
    scene.later(3)
    assert scene.run()["state"] == "lost"
    scene.later(1, (RECORDER,))
    assert scene.run()["state"] == "stalled"
    scene.metrics(steps=11)
    scene.tick()
    assert scene.run()["state"] == "running"


def test_a_source_of_metrics_is_no_agent_and_lives_as_long_as_its_process() -> None:
    """It is not counted, never stalled for want of steps, and its configuration does not hide that of the agents."""
    scene, source = Scene(), STREAM._replace(agent_id="learner-0", attempt=STREAM.attempt + 5)
    scene.started(source, role="metrics", config='{"learner": 1}')
    scene.beat()
    scene.tick()
    scene.later(11, (RECORDER,))
    row = scene.run()
    assert (row["state"], row["agents"], row["attempts"], row["config"]) == ("running", 0, 0, {"learner": 1})
    scene.read("metrics", "run/learner-0", framed_metrics(source))
    stream_row = scene.board.row("streams/run", f"learner-0/{source.attempt}", scene.now)
    assert stream_row is not None
    assert [(one["name"], one["value"]) for one in stream_row["metrics"]] == [("loss", 2.0), ("return", 1.0)]
    scene.started(config='{"lr": 0.1}')
    scene.metrics()
    scene.tick()
    row = scene.run()
    assert (row["agents"], row["attempts"], row["config"]) == (1, 1, {"lr": 0.1})


def test_a_log_that_does_not_flow_makes_nobody_lost() -> None:
    """A broker that is away, and a dashboard that was stopped, are no silence of a recorder."""
    scene = Scene()
    scene.started()
    scene.metrics()
    scene.beat()
    scene.tick()
    scene.now += 60
    scene.tick()
    assert scene.run()["state"] != "lost"


def test_steps_that_come_from_a_recorder_without_heartbeats_are_running() -> None:
    """What is seen counts for more than what is not heard."""
    scene = Scene()
    scene.started()
    for steps in range(20):
        scene.metrics(steps=steps)
        scene.later(0.5)
    assert scene.run()["state"] == "running"


def test_a_restarted_agent_is_its_newest_attempt() -> None:
    """What the attempt before never said does not make the run lost."""
    scene, again = Scene(), STREAM._replace(attempt=START + 1)
    scene.started()
    scene.started(again, pid=8)
    scene.metrics(again)
    scene.beat("recorder-host-8")
    scene.later(5, ("recorder-host-8",))
    assert scene.run()["state"] == "running"
    assert (scene.run()["agents"], scene.run()["attempts"]) == (1, 2)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        (["completed"], "completed"),
        (["completed", "failed"], "failed"),
        (["completed", "interrupted"], "interrupted"),
        (["failed", "interrupted"], "failed"),
    ],
)
def test_a_run_ends_as_its_worst_stream(outcomes: list[str], state: State) -> None:
    """And a FINISHED event that is read before an old STARTED one stays."""
    scene = Scene()
    for number, outcome in enumerate(outcomes):
        stream = STREAM._replace(agent_id=f"agent-{number}")
        scene.finished(stream, outcome, produced=12, dropped=2)
        scene.started(stream)
    scene.later(30)
    row = scene.run()
    assert row["state"] == state
    assert (row["steps"], row["dropped"]) == (10 * len(outcomes), 2 * len(outcomes))


def test_states_by_their_rules() -> None:
    """The limits, from both sides."""
    assert stream_state("", 2.1, 2.3) == "running"
    assert stream_state("", 2.2, 2.2) == "lost"
    assert stream_state("", 2.2, 2.1) == "running"
    assert stream_state("", 0.0, 10.0) == "stalled"
    assert stream_state("failed", 99.0, 99.0) == "failed"
    assert run_state(["completed", "lost", "running"]) == "running"
    assert run_state(["lost", "failed"]) == "lost"
    assert run_state([]) == "completed"


def test_episodes_give_the_mean_the_course_and_what_is_missing() -> None:
    """Of the newest ones; a rate of the last minute falls by itself."""
    scene = Scene()
    scene.started()
    for number in range(64):
        scene.read("episodes", "run/agent", episode(number, float(number)))
    scene.read("episodes", "run/agent", episode(64, 64.0, complete=False, missing_from=[3], missing_to=[5]))
    scene.beat()
    scene.tick()
    row = scene.run()
    assert row["mean_return"] == 32.0
    assert row["epm"] == 65
    assert len(row["spark"]) <= 32
    assert row["spark"] == sorted(row["spark"])
    assert row["gaps"] == 3
    scene.later(61, (RECORDER,))
    assert scene.run()["epm"] == 0


def test_an_episode_stays_until_history_has_had_it_for_a_while() -> None:
    """A page asks history after it began to follow: in between neither may miss it. A newer revision replaces one."""
    scene = Scene()
    scene.started()
    channel = episodes_channel("run")
    scene.read("episodes", "run/agent", episode(0))
    scene.read("episodes", "run/agent", episode(1))
    scene.read("episodes", "run/agent", episode(1, 5.0, revision=1))
    scene.tick(channel)
    assert scene.board.keys(channel) == [f"agent/{START}/0/0", f"agent/{START}/0/1"]
    assert scene.board.row(channel, f"agent/{START}/0/1", scene.now)["return"] == 5.0  # type: ignore[index]
    scene.beat("sink-host-1", committed={"runbus.episodes:0": 1})
    scene.later(59)
    assert len(scene.board.keys(channel)) == 2
    scene.later(2)
    assert scene.board.keys(channel) == [f"agent/{START}/0/1"]
    assert scene.board.episodes.left_out == 0


def test_the_position_of_history_is_the_newest_that_any_sink_says() -> None:
    """Who gave a partition up says an older one; after a reset of the group an older one is right."""
    scene = Scene()
    scene.beat("sink-host-1", committed={"runbus.episodes:0": 7, "runbus.steps:1": 3})
    scene.now += 1
    scene.beat("sink-host-2", committed={"runbus.episodes:0": 9})
    assert scene.board.below.of("runbus.episodes") == {0: 9}
    scene.now += 1
    scene.beat("sink-host-2", committed={"runbus.episodes:0": 2})
    assert scene.board.below.of("runbus.episodes") == {0: 2}
    assert scene.board.below.of("runbus.steps") == {1: 3}


def test_a_stream_has_its_windows_with_quantiles() -> None:
    """They are decoded only here, when somebody looks."""
    scene = Scene()
    scene.started()
    measure = Measure()
    for value in range(101):
        measure.add_one(float(value))
    full = measure.window("return", 60, START)
    scene.metrics(windows=(full, Measure().window("length", 60, START), replace(full, quantiles=b"")))
    scene.beat()
    channel = streams_channel("run")
    scene.tick(channel)
    (key,) = scene.board.keys(channel)
    row = scene.board.row(channel, key, scene.now)
    assert row is not None
    whole, empty, bare = row["windows"]
    assert (whole["count"], whole["mean"], whole["min"], whole["max"]) == (101, 50.0, 0.0, 100.0)
    assert whole["p10"] < whole["p50"] < whole["p90"]
    assert (empty["count"], empty["mean"], empty["p50"]) == (0, None, None)
    assert (bare["count"], bare["p50"]) == (101, None)


def test_only_what_somebody_looks_at_is_told() -> None:
    """A thousand streams that nobody watches cost the hub nothing."""
    scene = Scene()
    scene.started()
    scene.metrics()
    scene.tick()
    assert len(scene.hub.channel(streams_channel("run"))) == 0
    scene.metrics(steps=11)
    scene.tick(streams_channel("run"))
    assert len(scene.hub.channel(streams_channel("run"))) == 1


@pytest.mark.parametrize("topic", ["runs", "episodes", "live-metrics", "heartbeats"])
def test_a_record_that_cannot_be_read_is_counted_and_changes_nothing(topic: str) -> None:
    """The sink makes a dead letter of it; a page goes on."""
    scene = Scene()
    scene.started()
    for value in (b"\x00", b"junk", framed(live_metrics(STREAM))[:20], b""):
        scene.read(topic, "sink-1", value)
    scene.tick()
    assert scene.board.runs.keys() <= {"run"}


def test_a_silence_begins_with_the_age_of_what_is_read_late() -> None:
    """At a start old heartbeats are read: they were sent long ago."""
    silence = Silence()
    silence.hear("old", 100.0, 50.0)
    silence.hear("new", 100.0)
    assert silence.seconds("old", 100.0) == 50.0
    assert silence.seconds("new", 101.0) == 1.0
    assert silence.seconds("new", 200.0) == pytest.approx(1.6)
    assert silence.seconds("never", 200.0) == float("inf")
    assert silence.behind(103.0) == 3.0


def test_a_configuration_becomes_plain_values_of_bounded_size() -> None:
    """Nested ones by a dotted name; what is no object is nothing."""
    found = small_config(json.dumps({"lr": 0.1, "net": {"layers": 2, "act": "x" * 500}, "list": [1], "on": True}))
    assert found == {"lr": 0.1, "on": True, "net.layers": 2, "net.act": "x" * 120}
    assert small_config("[1]") == small_config("") == small_config("{" * 100_000) == {}
    assert len(small_config(json.dumps(dict.fromkeys(map(str, range(100)), 1)))) == 32


def test_tags_and_pins_of_a_run_are_in_its_row() -> None:
    """Beside those that the run said itself, until they are removed, also by a tombstone alone."""
    scene = Scene()
    scene.started(tags=["own"])
    good, pin = (Annotation(run_id="run", kind=k, name=n, sent_at=1) for k, n in (("tag", "good"), ("pin", "")))
    for annotation in (good, pin):
        scene.read("annotations", annotation_key(annotation).decode(), annotation)
    scene.tick("runs")
    row = scene.board.row("runs", "run", scene.now)
    assert row is not None
    assert (row["tags"], row["pinned"]) == (["own", "good"], True)
    scene.read("annotations", annotation_key(good).decode(), replace(good, removed=True))
    scene.read("annotations", annotation_key(pin).decode(), b"")
    scene.read("annotations", "no key of ours", b"")
    scene.tick("runs")
    row = scene.board.row("runs", "run", scene.now)
    assert row is not None
    assert (row["tags"], row["pinned"]) == (["own"], False)
    assert scene.board.unreadable == 1


@pytest.mark.parametrize("off_s", [0, 300, -3600])
def test_a_clock_that_is_off_is_said_of_a_stream(off_s: int) -> None:
    """By the heartbeat's own time and the broker's; before the first one nothing is known."""
    scene = Scene()
    scene.started()

    def clock() -> object:
        row = scene.board.row(streams_channel("run"), f"agent/{START}", scene.now)
        assert row is not None
        return row["clock_s"]

    assert clock() is None
    beat = Heartbeat(
        component_id=RECORDER, kind="recorder", sent_at=int((scene.now + off_s) * 1e6), started_at=0, version="1"
    )
    scene.read("heartbeats", RECORDER, beat)
    assert clock() == off_s
