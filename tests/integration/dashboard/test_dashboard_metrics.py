"""What the API says of metrics and scores, asked of the real engine."""

from __future__ import annotations

import math

import pytest

from runbus.clickhouse.tables import ANNOTATIONS, METRICS
from runbus.recorder import Metrics, Recorder, RunBus
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas.events import Annotation
from runbus.schemas.metric_batch import encode
from tests.integration.clickhouse.conftest import Store
from tests.integration.dashboard.conftest import Page, columns

pytestmark = pytest.mark.integration
RUN = "learnt"


@pytest.fixture(scope="module")
def run(store: Store) -> str:
    """Return a run with a learner, an evaluation, a value that was said again, one that is none, and judgements."""
    bus = RunBus()
    seen = bus.subscribe("test", max_events=1_000_000)
    with Metrics(RUN, source="learner", bus=bus, kafka=False) as learner:
        for step in range(4000):
            learner.log({"loss": float(step)}, step=step)
        learner.log({"loss": -1.0}, step=7)
        learner.log({"loss": math.nan}, step=8)
        learner.log({"wall": 1.0}, axis="", time=1_790_000_000.5)
    with Metrics(RUN, source="eval", bus=bus, kafka=False) as evaluation:
        evaluation.log({"loss": 5.0}, step=100)
        evaluation.log({"loss": 6.0}, step=1, axis="epoch")
    with Recorder(RUN, bus=bus, kafka=False) as recorder:
        recorder.reset(0.0)
        second = recorder.step(1, 1.0, True, False, 0.0)
        recorder.score(0.5, episode=0, label="good", text="slow", judge="a person")
        recorder.score(0.7, name="style", seq=second, judge="a model")
        recorder.score(0.9, name="style", judge="a model", episode=1)
        store.insert_steps([])  # the steps themselves are not needed
    batches = [event for event in seen.get_many(1_000_000) if isinstance(event, MetricsRecorded)]
    store.insert(METRICS, [encode(event.batch()) for event in batches])
    return RUN


def test_every_metric_has_its_axis(page: Page, run: str) -> None:
    """One name on two axes is two; what has no position lies on time."""
    found = columns(page.get("/run/metrics", run=run), "name", "axis", "values", "sources", "placed")
    assert found == [("wall", "", 1, 1, 0), ("loss", "epoch", 1, 1, 1), ("loss", "global_step", 4003, 2, 1)]


def test_a_curve_has_a_line_a_source_and_the_last_value_of_a_position(page: Page, run: str) -> None:
    """Bins where there are many points, as they are where there are few; what is not finite is counted."""
    whole = page.get("/run/metric", run=run, name="loss", axis="global_step", bins=500)
    assert whole["width"] == 8
    first = columns(whole, "agent", "bin", "count", "bad", "min")
    assert first[0] == ("eval", 96, 1, 0, 5.0)
    assert first[1] == ("learner", 0, 8, 0, -1.0)
    assert first[2] == ("learner", 8, 7, 1, 9.0)
    part = page.get("/run/metric", run=run, name="loss", axis="global_step", from_=5, to=9)
    assert part["width"] == 0
    assert columns(part, "agent", "x", "y") == [
        ("learner", n, {7: -1.0, 8: None}.get(n, float(n))) for n in range(5, 10)
    ]
    time = page.get("/run/metric", run=run, name="wall", x="time")
    assert columns(time, "agent", "x", "y") == [("learner", 1_790_000_000_500_000, 1.0)]
    assert page.get("/run/metric", run=run, name="nobody", axis="x")["rows"] == 0


def test_judgements_are_counted_by_name_and_judge(page: Page, run: str) -> None:
    """With the newest one as a sample."""
    answer = page.get("/run/scores", run=run)
    assert columns(answer, "name", "judge", "scores", "mean", "max") == [
        ("reward", "a person", 1, 0.5, 0.5),
        ("style", "a model", 2, pytest.approx(0.8), 0.9),
    ]
    assert columns(answer, "label", "text", "episode")[0] == ("good", "slow", 0)


@pytest.mark.parametrize("path", ["/run/metrics", "/run/metric?name=loss&axis=epoch", "/run/scores"])
def test_the_sql_of_an_answer_says_the_same(page: Page, store: Store, run: str, path: str) -> None:
    """It can be pasted: no place is left open."""
    path, _, more = path.partition("?")
    parameters = dict(pair.split("=") for pair in more.split("&")) if more else {}
    sql = page.raw(path, run=run, as_="sql", **parameters).text
    assert len(store.rows(sql)) == page.get(path, run=run, **parameters)["rows"] > 0


def test_notes_and_files_are_those_that_hold(page: Page, store: Store) -> None:
    """Of the run and all that is in it, or of one episode; what was removed is gone."""
    said: list[dict[str, object]] = [
        {
            "kind": "note",
            "name": "a",
            "text": "flat from <b>here</b>",
            "agent_id": "agent-0",
            "env": 0,
            "episode": 3,
            "step": 9,
        },
        {"kind": "tag", "name": "good"},
        {"kind": "tag", "name": "gone"},
        {"kind": "tag", "name": "gone", "removed": True},
        {"kind": "note", "name": "b", "text": "of all agents", "env": 0, "episode": 3},
        {"kind": "note", "name": "c", "text": "elsewhere", "agent_id": "agent-1", "attempt": 7, "env": 0, "episode": 3},
    ]
    events = [
        Annotation(**({"run_id": "noted", "author": "ann", "sent_at": n} | fields))  # type: ignore[arg-type]
        for n, fields in enumerate(said, 1)
    ]
    store.insert(ANNOTATIONS, [event.encode() for event in events])
    bus = RunBus()
    seen = bus.subscribe("test")
    with Metrics("noted", bus=bus, kafka=False) as learner:
        learner.artifact("s3://models/a.pt", type="checkpoint", step=100, size=7, sha256="5f")
        learner.artifact("s3://videos/3.mp4", type="video", agent="agent-0", attempt=5, env=0, episode=3)
    batches = [event for event in seen.get_many(100) if isinstance(event, MetricsRecorded)]
    store.insert(METRICS, [encode(event.batch()) for event in batches])
    place = {"run": "noted", "agent": "agent-0", "attempt": 5, "env": 0, "episode": 3}
    assert columns(page.get("/run/notes", run="noted"), "kind", "name") == [
        ("note", "c"), ("note", "b"), ("tag", "good"), ("note", "a")
    ]  # fmt: skip
    assert columns(page.get("/run/notes", **place), "text", "author", "step") == [
        ("of all agents", "ann", -1), ("flat from <b>here</b>", "ann", 9)
    ]  # fmt: skip
    files = columns(page.get("/run/artifacts", run="noted"), "name", "type", "bytes", "sha256", "axis", "position")
    assert sorted(files) == [("3.mp4", "video", -1, "", "", -1), ("a.pt", "checkpoint", 7, "5f", "global_step", 100)]
    assert columns(page.get("/run/artifacts", **place), "uri") == [("s3://videos/3.mp4",)]
