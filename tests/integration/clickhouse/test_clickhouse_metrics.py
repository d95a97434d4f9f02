"""The views of metrics and scores: what a position says last, and which episode a late score is of."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import fastavro
import numpy as np
import pytest

from runbus.clickhouse.tables import EPISODES, METRICS, RUNS
from runbus.recorder import Metrics, Recorder, RunBus
from runbus.recorder.events import StreamFinished
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas.avsc import schema
from runbus.schemas.metric_batch import encode

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Batch, Store

pytestmark = pytest.mark.integration
ATTEMPT = 1_790_000_000_000_000


class Log:
    """Stores what a bus carries of metrics, as the sink does."""

    def __init__(self, store: Store) -> None:
        self.bus = RunBus()
        self._store = store
        self._seen = self.bus.subscribe("test")

    def store(self) -> None:
        """Insert what came since the last call."""
        batches = [event for event in self._seen.get_many(10_000) if isinstance(event, MetricsRecorded)]
        self._store.insert(METRICS, [encode(batch.batch(sent_at=1)) for batch in batches])


def episode_body(run_id: str, attempt: int, episode: int, total: float, **fields: object) -> bytes:
    """Return a finalised episode of agent-0."""
    out = io.BytesIO()
    record: dict[str, Any] = {
        **dict.fromkeys(("env", "first_seq", "last_seq", "first_ts", "last_ts", "min_reward", "max_reward"), 0),
        "id": f"{attempt}-{episode}",
        "revision": 1,
        "run_id": run_id,
        "agent_id": "agent-0",
        "attempt": attempt,
        "episode": episode,
        "reason": "terminated",
        "complete": True,
        "missing_from": [],
        "missing_to": [],
        "return": total,
        "length": 9,
        "extras_sum": {},
        "labels": {},
        "stop": "",
        "has_reset": True,
        **fields,
    }
    fastavro.schemaless_writer(out, schema("EpisodeFinalized").parsed, record)
    return out.getvalue()


def curve(store: Store, run_id: str, name: str) -> list[tuple[Any, ...]]:
    """Return position and value of each point of a metric."""
    return store.rows(
        "SELECT at, value FROM metrics_latest WHERE run_id = {r:String} AND name = {n:String} ORDER BY at, ts, seq",
        r=run_id,
        n=name,
    )


def test_a_restarted_learner_says_its_steps_anew(store: Store, run_id: str) -> None:
    """Of a position the newest attempt's value counts, of one attempt the last; all of them are in the table."""
    log = Log(store)
    with Metrics(run_id, bus=log.bus, kafka=False) as before, Metrics(run_id, bus=log.bus, kafka=False) as after:
        assert before.attempt < after.attempt
        after.log({"loss": 0.2}, step=20)  # it arrives first
        for step, loss in ((10, 1.0), (20, 0.9), (30, 0.8), (10, 1.5)):
            before.log({"loss": loss}, step=step)
        before.log({"loss": 9.0}, step=20, axis="env_steps")
    log.store()
    assert curve(store, run_id, "loss") == [(10, 1.5), (20, 0.2), (20, 9.0), (30, 0.8)]
    assert store.one("SELECT count() FROM metrics WHERE run_id = {r:String}", r=run_id) == 6


def test_values_without_a_position_are_points_of_their_own(store: Store, run_id: str) -> None:
    """None of them stands for another; NaN is a value, a text has none."""
    log = Log(store)
    with Metrics(run_id, bus=log.bus, kafka=False) as source:
        for value in (1.0, 1.0, np.nan, "a sample"):
            source.log({"x": value})
    log.store()
    assert [str(value) for _, value in curve(store, run_id, "x")] == ["1.0", "1.0", "nan", "None"]
    found = store.rows("SELECT at, text FROM metrics_latest WHERE run_id = {r:String} AND value IS NULL", r=run_id)
    assert found == [(None, "a sample")]


def test_sources_are_curves_of_their_own(store: Store, run_id: str) -> None:
    """Two processes under two names do not hide each other."""
    log = Log(store)
    for name in ("learner-0", "learner-1"):
        with Metrics(run_id, name, bus=log.bus, kafka=False) as source:
            source.log({"loss": 1.0}, step=5)
    log.store()
    assert len(curve(store, run_id, "loss")) == 2


def scored(store: Store, run_id: str) -> dict[tuple[int, int], tuple[Any, ...]]:
    """Return attempt and episode -> return, late reward, return with it, scores, labels, number of scores."""
    rows: Iterable[tuple[Any, ...]] = store.rows(
        "SELECT attempt, episode, `return`, late_reward, return_scored, scores, score_labels, judgements "
        "FROM scored_episodes WHERE run_id = {r:String}",
        r=run_id,
    )
    return {(attempt, episode): tuple(rest) for attempt, episode, *rest in rows}


def test_scores_that_come_a_day_later_are_the_episodes_own(store: Store, run_id: str) -> None:
    """Each episode has its scores by name, whoever judged last; late rewards of steps and of the whole add up."""
    store.insert(EPISODES, [episode_body(run_id, a, e, 10.0) for a, e in ((1, 0), (1, 1), (2, 1))])
    assert scored(store, run_id)[1, 0] == (10.0, 0.0, 10.0, {}, {}, 0)
    log, day = Log(store), 86_400.0
    with Metrics(run_id, "judge", bus=log.bus, kafka=False) as judge:
        judge.score(0.5, agent="agent-0", episode=0, attempt=1, time=day)
        judge.score(0.25, agent="agent-0", episode=0, attempt=1, step=3, time=day)
        judge.score(0.75, name="style", agent="agent-0", episode=0, attempt=1, judge="Ada", label="terse", time=day)
        judge.score(0.1, name="style", agent="agent-0", episode=0, attempt=1, judge="Bob", time=day + 1)
        judge.score(3.0, agent="agent-0", episode=1, time=day)  # no attempt: the newest that has the episode
        judge.score(7.0, agent="agent-9", episode=0, time=day)  # an agent that is not there
        judge.score(8.0, name="of the run", time=day)
        judge.score(9.0, agent="agent-0", episode=0, attempt=1, time=day + 2)  # the same judge thinks again
    log.store()
    assert scored(store, run_id) == {
        (1, 0): (10.0, 9.25, 19.25, {"reward": 9.0, "style": 0.1}, {"style": "terse"}, 4),
        (1, 1): (10.0, 0.0, 10.0, {}, {}, 0),
        (2, 1): (10.0, 3.0, 13.0, {"reward": 3.0}, {}, 1),
    }
    judges = store.rows("SELECT DISTINCT judge FROM scores WHERE run_id = {r:String} ORDER BY judge", r=run_id)
    assert judges == [("Ada",), ("Bob",), ("judge",)]
    assert store.one("SELECT value FROM scores WHERE run_id = {r:String} AND name = 'of the run'", r=run_id) == 8.0


def test_a_score_that_names_a_step_by_its_seq_finds_its_episode(store: Store, run_id: str, batch: Batch) -> None:
    """What `step` returned is enough: the stored step says which episode it is of."""
    store.insert_steps([batch(30)])
    attempt = batch(1)["attempt"]
    store.insert(EPISODES, [episode_body(run_id, attempt, e, 9.0) for e in range(3)])
    log = Log(store)
    with Metrics(run_id, "judge", bus=log.bus, kafka=False) as judge:
        judge.score(2.0, agent="agent-0", attempt=attempt, seq=14)
        judge.score(0.5, agent="agent-0", attempt=attempt, seq=15)
    log.store()
    assert {episode: row[1] for (_, episode), row in scored(store, run_id).items()} == {0: 0.0, 1: 2.5, 2: 0.0}


def test_a_recorders_scores_and_columns(store: Store, run_id: str) -> None:
    """A recorder's own scores are about its own attempt; the view has every column of the episodes."""
    log = Log(store)
    with Recorder(run_id, bus=log.bus, kafka=False) as recorder:
        recorder.reset(0.0)
        recorder.step(0, 1.0, True, False, 0.0)
        recorder.score(4.0)
    store.insert(EPISODES, [episode_body(run_id, recorder.attempt, 0, 1.0)])
    log.store()
    assert scored(store, run_id)[recorder.attempt, 0][:3] == (1.0, 4.0, 5.0)
    sql = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {t:String}"
    columns = {view: set(store.rows(sql, t=view)) for view in ("episodes_latest", "scored_episodes")}
    added = {(name,) for name in ("scores", "score_labels", "late_reward", "return_scored", "judgements")}
    assert columns["scored_episodes"] == columns["episodes_latest"] | added


def test_a_source_is_no_agent_of_its_run(store: Store, run_id: str) -> None:
    """The list of runs counts agents only, and a run that has a source alone is there with its configuration."""
    log = Log(store)
    ended = log.bus.subscribe("events")
    with (
        Metrics(run_id, bus=log.bus, kafka=False, config={"lr": 1}, labels={"of": "learner"}) as learner,
        Recorder(run_id, bus=log.bus, kafka=False, labels={"of": "agent"}) as recorder,
        Metrics(f"{run_id}-alone", bus=log.bus, kafka=False, config={"lr": 2}),
    ):
        recorder.reset(0.0)
        learner.log({"a": 1, "b": 2})
    events = [event for event in ended.get_many(100) if isinstance(event, StreamFinished)]
    store.insert(RUNS, [event.final(9).encode() for event in events])
    sql = "SELECT agents, attempts, outcome, labels['of'] FROM run_summary WHERE run_id = {r:String}"
    assert store.rows(sql, r=run_id) == [(1, 1, "completed", "agent")]
    assert store.rows(sql, r=f"{run_id}-alone") == [(0, 0, "completed", "")]
    streams = "SELECT agent_id, role, produced, metrics, metrics_dropped FROM stream_summary WHERE run_id = {r:String}"
    assert sorted(store.rows(streams, r=run_id)) == [("agent-0", "", 1, 0, 0), ("learner-0", "metrics", 0, 2, 0)]
