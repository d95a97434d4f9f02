"""Metrics and scores: what a loop passes is what is in the batches, and nothing of it disturbs the loop."""

import copy
import gc
import logging
import math
import pickle
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.kafka.topics import METRICS
from runbus.recorder import Metrics, Recorder, RunBus, Subscription
from runbus.recorder.encoding import Packing, encoded
from runbus.recorder.events import StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.identity import now_us
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.recorder.metric_stream import MAX_NAMES
from runbus.recorder.metric_values import MAX_TEXT_BYTES
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.metric_batch import encode
from runbus.sink.api import FramedRecord
from runbus.sink.routes import ROUTES
from runbus.sink.values import without
from tests.fuzz.metric_batches import metric_rows
from tests.unit.batches import quick


class Heard:
    """A bus and what was published on it."""

    def __init__(self) -> None:
        self.bus = RunBus()
        self._seen: Subscription = self.bus.subscribe("test", max_bytes=2**30)
        self.events: list[Any] = []

    def rows(self) -> list[dict[str, Any]]:
        """Return every value published so far, as the table would have it."""
        self.events += self._seen.get_many(1_000_000)
        batches = [event for event in self.events if isinstance(event, MetricsRecorded)]
        return [row for batch in batches for row in metric_rows(encode(batch.batch(sent_at=1)))]

    def values(self) -> list[tuple[str, float]]:
        """Return name and number of each value."""
        return [(row["name"], _number(row["value"])) for row in self.rows()]

    def finished(self) -> StreamFinished:
        """Return the only end."""
        self.rows()
        (end,) = [event for event in self.events if isinstance(event, StreamFinished)]
        return end


def _number(bits: int) -> float:
    return float(np.uint64(bits).view(np.float64))


@pytest.fixture
def heard() -> Heard:
    """Return a bus that is listened to."""
    return Heard()


@pytest.fixture
def learner(heard: Heard) -> Iterator[Metrics]:
    """Yield a source without steps."""
    source = Metrics("run-1", bus=heard.bus, kafka=False)
    yield source
    source.close()


class Tensor:
    """What a tensor of one element offers."""

    def __init__(self, value: float) -> None:
        self._value = value

    def item(self) -> float:
        """Return its number."""
        return self._value


class Broken:
    """A value whose every use raises."""

    def __float__(self) -> float:
        raise RuntimeError("on another device")

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1.5, 1.5),
        (3, 3.0),
        (True, 1.0),
        (-math.inf, -math.inf),
        (np.float32(0.5), 0.5),
        (np.array(7), 7.0),
        (np.array([2.0]), 2.0),
        (np.bool_(True), 1.0),
        (Tensor(0.25), 0.25),
        (Decimal("0.5"), 0.5),
        (2**70, float(2**70)),
    ],
)
def test_what_is_one_number_is_recorded(value: object, number: float, learner: Metrics, heard: Heard) -> None:
    """Numbers of Python, numpy and of tensors, beside a value that is left out, and alone."""
    learner.log({"a": value}, step=1)
    learner.log({"a": value, "b": None}, step=2)
    learner.flush(0)
    assert heard.values() == [("a", number), ("a", number)]
    assert learner.stats()["left_out"] == 1


def test_nan_keeps_its_bits_and_a_position_any_size(learner: Metrics, heard: Heard) -> None:
    """NaN is a value; a position may be negative, and without one there is no axis."""
    learner.log({"loss": math.nan}, step=-5, axis="env_steps", time=12.5)
    learner.log({"loss": 1.0}, step=np.int64(2**62))
    learner.log({"loss": 2.0}, step=3.0)  # type: ignore[arg-type]  # a float that is whole
    learner.log({"loss": 3.0})
    learner.flush(0)
    rows = heard.rows()
    assert [(row["axis"], row["at"]) for row in rows] == [
        ("env_steps", -5),
        ("global_step", 2**62),
        ("global_step", 3),
        ("", -(2**63)),
    ]
    assert math.isnan(_number(rows[0]["value"]))
    assert rows[0]["ts"] == 12_500_000
    assert [row["seq"] for row in rows] == [0, 1, 2, 3]


def test_nested_dicts_have_names_with_slashes_and_texts_stay_texts(learner: Metrics, heard: Heard) -> None:
    """What RLlib and verl log is flattened; a sample is kept as text, cut where it is too long."""
    learner.log({"train": {"loss": 1.0, 7: {"kl": 2}}, "train/loss": 3, "sample": "größe", "long": "x" * 70_000})
    learner.flush(0)
    rows = heard.rows()
    assert [row["name"] for row in rows] == ["train/loss", "train/7/kl", "train/loss", "sample", "long"]
    assert [row["absent"] for row in rows] == [0, 0, 0, 1, 1]
    assert rows[3]["text"] == "größe"
    assert len(rows[4]["text"]) == MAX_TEXT_BYTES


def test_what_is_no_value_is_left_out_alone(learner: Metrics, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """One bad value costs itself only; each kind is said once, each value counted."""
    bad = {"none": None, "list": [1, 2], "array": np.zeros(3), "bytes": b"x", "broken": Broken(), "": 1.0}
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            learner.log({"good": 1.0, **bad}, step="late")  # type: ignore[arg-type]
    deep: dict[str, Any] = {}
    deep["again"] = deep
    learner.log(deep)
    learner.log([("loss", 1)])  # type: ignore[arg-type]
    learner.flush(0)
    assert heard.values() == [("good", 1.0)] * 3
    assert learner.stats()["left_out"] == 3 * (len(bad) + 1) + 2
    assert 1 <= len(caplog.records) <= 3


@pytest.mark.parametrize("time", [math.nan, math.inf, 1e12, -5.0, "now"])
def test_a_time_that_is_none_costs_no_value(time: Any, learner: Metrics, heard: Heard) -> None:
    """The values are there with the time of the call; names and axes of any kind are texts."""
    before = now_us()
    learner.log({"a": 1.0, 7: 2.0, "\ud800": 3.0}, step=1, axis="\udfff", time=time)  # type: ignore[dict-item]
    learner.score(1.0, time=time)
    learner.artifact("s3://models/final.pt", type="model", time=time)
    learner.flush(5)
    rows = heard.rows()
    assert [row["name"] for row in rows[:2]] == ["a", "7"]
    assert len(rows) == 5
    assert all(before <= row["ts"] <= now_us() for row in rows)
    assert learner.stats()["left_out"] == 3


def test_a_time_is_kept_to_the_microsecond(learner: Metrics, heard: Heard) -> None:
    """A float of seconds has no nanoseconds: what it was made from comes back."""
    times = [1_790_000_000_000_000 + n for n in (1, 7, 999_999)]
    for time in times:
        learner.log({"a": 1.0}, time=time / 1e6)
    learner.flush(0)
    assert [row["ts"] for row in heard.rows()] == times


def test_any_order_and_any_repetition_is_taken(learner: Metrics, heard: Heard) -> None:
    """A position that was passed, or was there, is recorded as it comes."""
    for at in (5, 3, 5, 5, 0):
        learner.log({"eval": at}, step=at)
    learner.flush(0)
    assert [row["at"] for row in heard.rows()] == [5, 3, 5, 5, 0]


def test_a_hundred_thousand_names_are_refused_and_counted(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """The first names are recorded, each later one counts as left out, and it is said once."""
    source = Metrics("run-1", bus=heard.bus, kafka=False)
    with caplog.at_level(logging.ERROR):
        source.log({f"id-{i}": float(i) for i in range(100_000)})
        source.log({"id-5": 5.0, "new": 1.0})
    source.close()
    rows = heard.rows()
    assert [row["name"] for row in rows] == [*(f"id-{i}" for i in range(MAX_NAMES)), "id-5"]
    assert source.stats()["left_out"] == 100_000 - MAX_NAMES + 1
    assert ["one name too many" in record.getMessage() for record in caplog.records] == [True]


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from("abcdef"), st.floats()), st.integers(-9, 9)), max_size=9))
@quick
def test_every_value_of_any_calls_is_there_once(calls: list[tuple[dict[str, float], int]]) -> None:
    """Whatever set of names a call has: its values, in order, at its position."""
    heard = Heard()
    with Metrics("run-1", bus=heard.bus, kafka=False) as source:
        for values, step in calls:
            source.log(values, step=step)
    found = [(row["name"], row["at"], row["value"]) for row in heard.rows()]
    bits = [(n, step, int(np.float64(v).view(np.uint64))) for values, step in calls for n, v in values.items()]
    assert found == bits


def test_batches_close_by_size_and_the_counts_are_those_of_the_values(learner: Metrics, heard: Heard) -> None:
    """Many values make several batches, whose seqs follow each other without a gap."""
    for step in range(300):
        learner.log({f"name-{i}": float(i) for i in range(100)}, step=step)
    learner.flush(0)
    rows = heard.rows()
    batches = [event for event in heard.events if isinstance(event, MetricsRecorded)]
    assert [row["seq"] for row in rows] == list(range(30_000))
    assert 2 < len(batches) < 20
    assert learner.stats()["produced"] == 30_000


def test_a_source_says_what_it_is_and_how_much_it_had(heard: Heard) -> None:
    """Its events have its role, its configuration and its counts; it has no steps."""
    with Metrics("run-1", "judge", bus=heard.bus, kafka=False, config={"lr": 0.1}, tags="eval") as source:
        source.log({"a": 1, "b": 2})
    end = heard.finished().final(5)
    (start,) = [event.event for event in heard.events if isinstance(event, StreamStarted)]
    assert (start.role, start.config, start.tags) == ("metrics", '{"lr":0.1}', ["eval"])
    assert (end.role, end.agent_id, end.produced, end.metrics, end.metrics_dropped) == ("metrics", "judge", 0, 2, 0)
    assert (source.run_id, source.source, source.attempt) == ("run-1", "judge", start.attempt)


def test_a_recorder_has_both_and_mixes_neither(heard: Heard) -> None:
    """Metrics take no seq of the steps, share the stream's identity, and are said in its end."""
    with Recorder("run-1", bus=heard.bus, kafka=False) as recorder:
        recorder.reset(0.0)
        recorder.metrics({"loss": 1.0, "kl": 2.0}, step=1)
        recorder.step(1, 1.0, True, False, 0.0)
    rows, end = heard.rows(), heard.finished().final(5)
    assert [(row["source"], row["attempt"], row["seq"]) for row in rows] == [
        ("agent-0", recorder.attempt, 0),
        ("agent-0", recorder.attempt, 1),
    ]
    assert (end.role, end.produced, end.metrics) == ("", 2, 2)
    assert sum(event.count for event in heard.events if isinstance(event, StepsRecorded)) == 2
    assert recorder.stats()["metrics"] == {"produced": 2, "delivered": 0, "dropped": 0, "in_flight": 2, "left_out": 0}


def test_a_recorders_score_is_about_its_own_episode(heard: Heard) -> None:
    """By default the one that runs or ended last; a step by its number or by its seq; words without a number."""
    with Recorder("run-1", bus=heard.bus, kafka=False) as recorder:
        recorder.score(0.1, name="before")
        recorder.reset(0.0)
        recorder.reset(0.0)
        seq = recorder.step(1, 1.0, True, False, 0.0)
        recorder.score(0.5)
        recorder.score(1.0, step=1, label="good")
        recorder.score(2.0, seq=seq)
        recorder.score(None, name="style", episode=0, text="too long", judge="Ada")
        recorder.score(3.0, env=7)
        recorder.score(4.0, agent="agent-1", episode=3)
    rows = heard.rows()
    about = [(r["agent_id"], r["env"], r["episode"], r["step"], r["step_seq"]) for r in rows]
    assert about == [
        ("agent-0", -1, -1, -1, -1),
        ("agent-0", 0, 1, -1, -1),
        ("agent-0", 0, 1, 1, -1),
        ("agent-0", -1, -1, -1, 2),
        ("agent-0", 0, 0, -1, -1),
        ("agent-0", 7, -1, -1, -1),
        ("agent-1", 0, 3, -1, -1),
    ]
    assert [row["agent_attempt"] for row in rows] == [recorder.attempt] * 6 + [0]
    assert {row["kind"] for row in rows} == {"score"}
    assert [(r["absent"], r["judge"], r["text"]) for r in rows if r["name"] == "style"] == [(1, "Ada", "too long")]


def test_a_judges_score_names_what_it_is_given(learner: Metrics, heard: Heard) -> None:
    """A process without steps knows no episode; a bad part is left out, a score of nothing is none."""
    learner.score(0.5, agent="agent-0", episode=4, attempt=9)
    learner.score(Broken(), label="good")
    learner.score(1.0, env=-3, episode="x", wrong=1)  # type: ignore[arg-type, call-arg]
    learner.score(None)
    learner.flush(0)
    rows = heard.rows()
    assert [(r["agent_id"], r["agent_attempt"], r["env"], r["episode"], r["absent"]) for r in rows] == [
        ("agent-0", 9, 0, 4, 0),
        ("", 0, -1, -1, 1),
        ("", 0, -1, -1, 0),
    ]
    assert learner.stats()["left_out"] == 5


def test_what_comes_after_close_is_counted_and_said_once(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """It never raises."""
    source = Metrics("run-1", bus=heard.bus, kafka=False)
    source.log({"a": 1})
    source.close()
    with caplog.at_level(logging.ERROR):
        source.log({"a": 2})
        source.score(1.0)
    assert heard.values() == [("a", 1.0)]
    assert ["is closed" in record.getMessage() for record in caplog.records] == [True]


def test_a_source_that_nobody_closed_is_ended(heard: Heard) -> None:
    """Once nothing refers to it, its values are published and its stream ends as interrupted."""
    source = Metrics("run-1", bus=heard.bus, kafka=False)
    source.log({"a": 1})
    ended = heard.bus.subscribe("end")
    del source
    gc.collect()
    while not isinstance(event := ended.get(10), StreamFinished):
        assert event is not None
    assert event.outcome == "interrupted"
    assert heard.values() == [("a", 1.0)]


def test_a_copy_is_a_source_of_its_own(heard: Heard) -> None:
    """A copy, and one that is pickled into another process, has another attempt of the same source."""
    source = Metrics("run-1", "learner-3", bus=heard.bus, kafka=False)
    others = [copy.deepcopy(source), copy.copy(source), pickle.loads(pickle.dumps(source))]
    for one in (source, *others):
        one.log({"a": 1})
    assert {(one.run_id, one.source) for one in others} == {("run-1", "learner-3")}
    assert len({one.attempt for one in (source, *others)}) == 4
    for one in (source, *others):
        one.close()


def test_threads_share_a_source(learner: Metrics, heard: Heard) -> None:
    """Values of several threads are all there, each call's together."""

    def say(number: int) -> None:
        for i in range(500):
            learner.log({f"t{number}": i, f"u{number}": i})

    threads = [threading.Thread(target=say, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    learner.flush(0)
    rows = heard.rows()
    assert [row["seq"] for row in rows] == list(range(4_000))
    assert all(a["name"][1:] == b["name"][1:] for a, b in zip(rows[::2], rows[1::2], strict=True))


def test_a_source_needs_a_name_that_makes_a_key() -> None:
    """As a run and an agent do."""
    with pytest.raises(ConfigError, match="leave out '/'"):
        Metrics("run-1", "a/b", kafka=False)


def closed(heard: Heard) -> MetricsRecorded:
    """Return the only batch that was published."""
    heard.rows()
    (batch,) = [event for event in heard.events if isinstance(event, MetricsRecorded)]
    return batch


def test_a_batch_is_cut_to_the_size_of_a_record(learner: Metrics, heard: Heard) -> None:
    """Its parts follow each other on the topic of metrics, under the source's key, and are the whole."""
    learner.log({f"name-{i}": float(i) for i in range(400)}, step=1)
    learner.flush(0)
    whole = closed(heard)
    parts = encoded(whole, Packing("runbus.", Codec(), limit=3_000), 1)
    assert len(parts) > 2
    assert {(part.topic.name, part.key) for part in parts} == {(METRICS.name, b"run-1/learner-0")}
    assert all(len(part.value) <= 3_000 for part in parts)
    rows = [row for part in parts for row in metric_rows(Codec().open(part.value, "MetricBatch")[1])]
    assert rows == metric_rows(encode(whole.batch(sent_at=1)))


def test_a_value_that_no_record_holds_is_kept_without_its_text(learner: Metrics, heard: Heard) -> None:
    """The longest words go first; the number stays."""
    learner.score(0.5, label="good", text="x" * 5_000)
    learner.flush(0)
    (part,) = encoded(closed(heard), Packing("runbus.", Codec(), limit=1_000), 1)
    (row,) = metric_rows(Codec().open(part.value, "MetricBatch")[1])
    assert part.without == ("text",)
    assert (row["label"], row["text"], _number(row["value"])) == ("good", "", 0.5)


def test_a_record_that_is_half_there_is_completed_by_the_rest(learner: Metrics, heard: Heard) -> None:
    """The sink's repair of metrics has the rows that are missing, and no others."""
    learner.log({f"name-{i % 3}/{i}": float(i) for i in range(9)})
    learner.flush(0)
    body = encode(closed(heard).batch(sent_at=1))
    (route,) = [route for route in ROUTES if route.topic == "metrics"]
    pieces = without(route, FramedRecord(1, None, body, 0), schema("MetricBatch"), {0, 1, 5})
    found = [row for piece in pieces for row in metric_rows(piece)]
    assert found == [row for row in metric_rows(body) if row["seq"] not in (0, 1, 5)]
