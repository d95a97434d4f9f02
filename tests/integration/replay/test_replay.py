"""A run that is replayed has the same steps, episodes and totals, bit for bit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.config.errors import InvalidValue
from runbus.kafka.topic_log import open_topic
from runbus.replay import Episode, NoSuchRun, Source, StepRows
from runbus.schemas.batch import StepBatch, decode
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from tests.integration.replay.scene import TEXT, VECTOR, Scene
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]


def _finished(scene: Scene, run: str) -> set[tuple[str, int]]:
    """Return agents and attempts of a run that have said FINISHED."""
    return {(e.agent_id, e.attempt) for e in scene.log.runs() if e.run_id == run and e.kind == "FINISHED"}


def test_the_new_run_is_the_old_one(scene: Scene) -> None:
    """Rows, newest revisions and totals of every stream that ended; gaps, repeats and late steps among them."""
    runs = [VECTOR, TEXT, scene.runs[0]]
    for run in runs:
        done = scene.json("replay", run, "--to", "bus", "--as", f"again-{run}", "--speed", "max")
        assert done["run"] == f"again-{run}"
    scene.settle()
    for run in runs:
        again, ended = f"again-{run}", _finished(scene, run)
        wanted = {key: values for key, values in scene.episodes(run).items() if key[:2] in ended}
        assert wanted

        def same(run: str = run, again: str = again, wanted: Any = wanted, ended: Any = ended) -> bool:
            totals = {key: values for key, values in scene.totals(run).items() if key in ended}
            found = {key: values for key, values in scene.episodes(again).items() if key[:2] in ended}
            return found == wanted and {k: v for k, v in scene.totals(again).items() if k in ended} == totals

        until(f"{again} is {run}", same)
        assert scene.steps(again) == scene.steps(run)
        assert json.loads(_config(scene, again))["replay_of"] == run
    audit = scene.json("audit", "--run", f"again-{VECTOR}")
    assert (audit["total"]["missing"], audit["total"]["duplicates"]) == (0, 0)
    assert audit["total"]["stored"] == sum(row[2] for row in scene.steps(VECTOR))


def _config(scene: Scene, run: str) -> str:
    return str(scene.rows("SELECT any(config) FROM runs WHERE run_id = {run:String}", run=run)[0][0])


def test_a_part_says_what_it_left_out(scene: Scene) -> None:
    """Steps before the part count as dropped, the stream as interrupted, and the audit is exact."""
    sql = "SELECT toUnixTimestamp64Micro(ts) AS us FROM steps WHERE run_id = {run:String} ORDER BY us"
    ts = [us for (us,) in scene.rows(sql, run=VECTOR)]
    begin, until_us = ts[len(ts) // 3], ts[2 * len(ts) // 3]
    times = [datetime.fromtimestamp(us / 1e6, UTC).isoformat() for us in (begin, until_us)]
    part = ("--from", times[0], "--until", times[1], "--speed", "max")
    done = scene.json("replay", VECTOR, *part, "--to", "bus", "--as", "part-1")
    assert done["steps"] == sum(begin <= t < until_us for t in ts)
    scene.settle()
    audit = scene.json("audit", "--run", "part-1")
    total = audit["total"]
    assert (total["missing"], total["duplicates"], total["in_flight"]) == (0, 0, 0)
    assert total["stored"] == done["steps"]
    assert total["dropped"] > 0
    outcomes = {e.outcome for e in scene.log.runs() if e.run_id == "part-1" and e.kind == "FINISHED"}
    assert outcomes == {"interrupted"}
    lines = scene.run("replay", VECTOR, *part).splitlines()
    assert sum(json.loads(line)["event"] == "step" for line in lines) == done["steps"]


def test_records_are_copied_as_they_are(scene: Scene) -> None:
    """Key, value and time; and not into a topic of the installation."""
    topic = f"{scene.settings.topic_prefix}copy"
    admin = AdminClient({**scene.settings.client_config()})
    for made in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        made.result(30)
    run = scene.runs[0]
    done = scene.json("replay", run, "--to", "topic", "--topic", topic, "--speed", "max")
    wanted = [m for m in scene.log.read("steps") if (m.key() or b"").startswith(f"{run}/".encode())]
    values = {m.value() for m in wanted}
    with open_topic(scene.settings, "copy", "tests") as log:
        found = list(log.records())
    assert done["records"] == len(found)
    assert {m.value() for m in found} <= values
    assert {(m.value(), m.key(), m.timestamp()[1]) for m in found} <= {
        (m.value(), m.key(), m.timestamp()[1]) for m in wanted
    }
    own = f"{scene.settings.topic_prefix}steps"
    assert "twice" in scene.run("replay", run, "--to", "topic", "--topic", own, code=2)
    assert "there is no topic" in scene.run("replay", run, "--to", "topic", "--topic", "nowhere", code=1)


def test_what_is_not_there_or_there_already_is_said(scene: Scene) -> None:
    """One sentence, before anything is written."""
    assert "the log has no run 'no-such-run'" in scene.run("replay", "no-such-run", code=1)
    there = scene.run("replay", VECTOR, "--to", "bus", "--as", TEXT, code=1)
    assert "the log has a run 'assistant-1' already" in there


def _rows(items: Source[Any]) -> dict[tuple[Any, ...], StepRows]:
    with items:
        return {(e.stream, e.env, e.episode): e.rows for e in items if isinstance(e, Episode)}


@pytest.mark.parametrize("run", [VECTOR, TEXT, "seeded"])
def test_both_stores_have_the_same(scene: Scene, run: str) -> None:
    """Every episode, whole or not, with every value of every step: from Kafka, from ClickHouse, and as in the log."""
    name = scene.runs[0] if run == "seeded" else run
    sources = [
        Source(
            name, store=store, unit="episodes", incomplete=True, settings=scene.settings, clickhouse=scene.clickhouse
        )
        for store in ("kafka", "clickhouse")
    ]
    log, table = map(_rows, sources)
    assert log.keys() == table.keys()
    for key, rows in log.items():
        _same(rows, table[key])
    seqs = {(s, seq) for rows in log.values() for s, seq in zip(_names(rows), rows.seq.tolist(), strict=True)}
    assert seqs == {
        ((h.run_id, h.agent_id, h.attempt), seq)
        for batch in _readable(scene.log)
        if (h := batch.header).run_id == name
        for seq in range(h.first_seq, h.next_seq)
    }


def _readable(log: TopicReader) -> list[StepBatch]:
    found = []
    for message in log.read("steps"):
        try:
            found.append(decode(Codec().open(message.value(), "StepBatch")[1]))
        except (InvalidValue, UnknownSchema):
            continue
    return found


def _names(rows: StepRows) -> list[tuple[str, str, int]]:
    return [tuple(rows.streams[number]) for number in rows.stream.tolist()]


def _same(one: StepRows, other: StepRows) -> None:
    for name in ("seq", "env", "episode", "step", "ts", "terminated", "truncated", "has_action", "has_observation"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.reward.tobytes() == other.reward.tobytes()
    assert one.texts == other.texts
    assert one.logged.keys() == other.logged.keys()
    assert all(np.array_equal(one.logged[n], other.logged[n], equal_nan=True) for n in one.logged)
    for mine, theirs in ((one.action, other.action), (one.observation, other.observation)):
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            assert mine.tobytes() == theirs.tobytes()
        else:
            assert (mine is None) == (theirs is None)
            assert mine is None or list(mine) == list(theirs)


@pytest.mark.parametrize("store", ["kafka", "clickhouse"])
def test_a_state_outlives_the_process_and_the_run_that_goes_on(scene: Scene, store: Any) -> None:
    """A Source over what was stored then, whatever came since; an unknown run is said."""
    arguments: Any = {"store": store, "batch": 64, "shuffle": 500, "seed": 5}
    arguments |= {"settings": scene.settings, "clickhouse": scene.clickhouse}
    whole: list[StepRows] = list(Source(VECTOR, **arguments))
    begun: Source[StepRows] = Source(VECTOR, **arguments)
    items = iter(begun)
    for _ in range(7):
        next(items)
    state = json.loads(json.dumps(begun.state_dict()))
    begun.close()
    again: Source[StepRows] = Source(VECTOR, **arguments)
    again.load_state_dict(state)
    rest = list(again)
    again.close()
    assert [r.seq.tolist() for r in rest] == [r.seq.tolist() for r in whole[7:]]
    assert sum(map(len, whole)) == sum(row[2] for row in scene.steps(VECTOR))
    with pytest.raises(NoSuchRun, match="no-such-run"):
        list(Source("no-such-run", **arguments))
