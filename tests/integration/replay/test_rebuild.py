"""Derived data that is computed again equals what is in use, also under load; what is wrong is not swapped in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from runbus.clickhouse.installation import Installation
from runbus.clickhouse.tables import STEPS
from runbus.config.errors import RunBusError
from runbus.kafka.topics import stream_key
from runbus.rebuild.clickhouse import RowsRebuild
from runbus.rebuild.shadow import SUFFIX, shadow
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, LiveMetrics
from runbus.sink.ranges import RangeLimits
from tests.integration.replay.scene import Scene
from tests.integration.sink.sink_processes import Feed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]


@contextmanager
def load(scene: Scene) -> Iterator[Feed]:
    """Let several agents produce steps meanwhile, some thousand a second."""
    feed, over = Feed(scene.settings), threading.Event()

    def produce() -> None:
        while not over.wait(0.05):
            feed.steps(1, agents=3, size=64)
            feed.flush()

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield feed
    finally:
        over.set()
        thread.join()


def _rows(scene: Scene, *options: str, code: int = 0) -> dict[tuple[str, int], Any]:
    """Rebuild the rows; return what was found of each partition."""
    found = scene.json("rebuild", "clickhouse", *options, code=code)
    return {(one["topic"].removeprefix(scene.settings.topic_prefix), one["partition"]): one for one in found}


@pytest.mark.long
def test_everything_is_equal_under_load(scene: Scene) -> None:
    """Steps come, are stored and computed all the time; rows, episodes and totals equal the log, nothing is lost."""
    with load(scene) as feed:
        before = feed.total
        rows = _rows(scene)
        episodes = scene.json("rebuild", "episodes")
        live = scene.json("rebuild", "live-metrics")
        assert feed.total > before
    assert {tuple(one["different"]) for one in rows.values()} == {()}
    assert sum(one["cut"] - one["first_offset"] for key, one in rows.items() if key[0] == "steps") > 0
    assert rows["steps", 0]["refused"] + rows["steps", 1]["refused"] + rows["steps", 2]["refused"] > 0
    assert (episodes["differences"], live["differences"]) == ([], [])
    assert episodes["compared"] > 50
    assert live["compared"] > 5
    scene.settle()
    stored = "SELECT count(), uniqExact(agent_id, seq) FROM steps WHERE run_id = {run:String}"
    assert scene.rows(stored, run=feed.run) == [(feed.total, feed.total)]


@pytest.mark.long  # short: a table that was emptied, and false results
def test_damaged_rows_are_found_and_not_swapped_unasked(scene: Scene) -> None:
    """A changed bit, a row too few, one too many and a false one: named by offset, left, then mended if told so."""
    scene.settle()
    before = scene.rows("SELECT count(), sum(sipHash64(formatRowNoNewline('RowBinary', *))) FROM steps")
    offsets = [
        offset
        for (offset,) in scene.rows(
            "SELECT DISTINCT kafka_offset FROM steps WHERE kafka_partition = 1 ORDER BY kafka_offset LIMIT 4"
        )
    ]
    at = "kafka_partition = 1 AND kafka_offset ="
    last = f"seq = (SELECT max(seq) FROM steps WHERE {at} {offsets[1]})"
    for statement in (
        f"ALTER TABLE steps UPDATE action_raw = concat(action_raw, 'x') WHERE {at} {offsets[0]}",
        f"ALTER TABLE steps DELETE WHERE {at} {offsets[1]} AND {last}",
        f"INSERT INTO steps SELECT * FROM steps WHERE {at} {offsets[2]} LIMIT 1",
        f"INSERT INTO steps SELECT * REPLACE (run_id || '-false' AS run_id) FROM steps WHERE {at} {offsets[3]} LIMIT 1",
    ):
        scene.client.command(statement, settings={"mutations_sync": "2", "insert_deduplicate": "0"})
    found = _rows(scene, "--topic", "steps", code=1)
    assert {key for key, one in found.items() if one["different"]} == {("steps", 1)}
    different = found["steps", 1]["different"]
    assert [one["offset"] for one in different] == offsets
    assert [one["new"] - one["old"] for one in different] == [0, 1, -1, -1]
    assert not found["steps", 1]["swapped"]
    assert scene.rows("SELECT count() FROM steps") == [(before[0][0] + 1,)]
    with load(scene):
        assert _rows(scene, "--topic", "steps", "--swap-different")["steps", 1]["swapped"]
    scene.settle()
    assert {tuple(one["different"]) for one in _rows(scene).values()} == {()}
    seeded = (
        "SELECT count(), sum(sipHash64(formatRowNoNewline('RowBinary', *))) FROM steps WHERE run_id NOT LIKE 'run-%'"
    )
    assert not scene.rows("SELECT 1 FROM steps WHERE run_id LIKE '%-false' LIMIT 1")
    assert scene.rows(seeded)
    assert scene.json("audit", "--ranges", "--topic", "steps")["sound"]


@pytest.mark.long
def test_a_table_that_was_emptied_is_filled_from_the_log(scene: Scene) -> None:
    """All rows of a topic, below the cut, come back as they were."""
    scene.settle()
    content = "SELECT count(), sum(sipHash64(formatRowNoNewline('RowBinary', *))) FROM runs"
    before = scene.rows(content)
    scene.client.command("TRUNCATE TABLE runs")
    assert scene.run("rebuild", "clickhouse", "--topic", "runs", "--swap-different")
    assert scene.rows(content) == before


def test_what_is_in_the_way_is_said(scene: Scene) -> None:
    """Another rebuild; a group that was moved back meanwhile; nothing is left behind."""
    with shadow(scene.clickhouse) as beside, pytest.raises(RunBusError, match=f"DROP DATABASE {beside.database}"):
        _rebuild(scene).run()
    databases = "SELECT count() FROM system.databases WHERE name = {name:String}"
    assert scene.rows(databases, name=scene.clickhouse.database + SUFFIX) == [(0,)]
    assert "ClickHouse stores" in scene.run("rebuild", "clickhouse", "--topic", "nothing", code=2)


def _rebuild(scene: Scene) -> RowsRebuild:
    group = f"{scene.settings.topic_prefix}sink"
    return RowsRebuild(Installation(scene.settings, scene.clickhouse, Codec(), group), [STEPS], RangeLimits())


def test_false_results_are_found(scene: Scene) -> None:
    """An episode that never was, one with another return, totals that are ahead: named, and left as they are."""
    scene.settle()
    feed, run = Feed(scene.settings), scene.runs[-1]  # of a run that no other test looks at
    event = next(e for e in _episodes(scene)[::-1] if e.run_id == run)
    false = replace(event, id="f" * 32, episode=77)
    changed = replace(event, return_=event.length + 0.5)
    said = next(e for e in _live(scene) if e.run_id == run)
    for one in (false, changed):
        _send(feed, "episodes", one)
    _send(feed, "live-metrics", replace(said, steps=said.steps + 1_000_000))
    feed.flush()
    found = scene.json("rebuild", "episodes", code=1)["differences"]
    assert {(one["what"], one["name"]) for one in found} == {
        ("false", f"{false.id} 1"),
        ("different", f"{changed.id} {changed.revision}"),
    }
    live = scene.json("rebuild", "live-metrics", code=1)["differences"]
    assert [(one["what"], one["stream"].split("/")[0]) for one in live] == [("false", run)]
    assert "stop its processes" in scene.run("rebuild", "episodes", "--swap-different", code=1)
    _send(feed, "episodes", event)  # what the reset would make it say again
    _send(feed, "live-metrics", said)
    feed.flush()
    again = scene.json("rebuild", "episodes", code=1)["differences"]
    assert [one["what"] for one in again] == ["false"]
    assert scene.json("rebuild", "live-metrics")["differences"] == []


@pytest.mark.long
def test_an_app_that_said_something_wrong_is_reset_if_told_so(scene: Scene) -> None:
    """It is stopped, reset and started: the right result is the newest one again."""
    scene.settle()
    feed = Feed(scene.settings)
    event = next(e for e in _episodes(scene)[::-1] if e.run_id == scene.runs[-2])
    _send(feed, "episodes", replace(event, return_=event.length + 0.5))
    feed.flush()
    assert scene.processes.stop(scene.processes.started[1]) == 0
    done = scene.json("rebuild", "episodes", "--swap-different")
    assert ("different", f"{event.id} {event.revision}") in {(d["what"], d["name"]) for d in done["differences"]}
    assert len(done["reset"]) == 3
    scene.start("episodes")
    scene.settle()
    left = scene.run("rebuild", "episodes", "--json", code=1 if len(done["differences"]) > 1 else 0)
    assert event.id not in left


def _send(feed: Feed, topic: str, event: EpisodeFinalized | LiveMetrics) -> None:
    value = Codec().frame("", schema(event.SCHEMA), event.encode())
    feed.send(topic, stream_key(event.run_id, event.agent_id), value)


def _episodes(scene: Scene) -> list[EpisodeFinalized]:
    return [EpisodeFinalized.decode(Codec().open(m.value(), "EpisodeFinalized")[1]) for m in scene.log.read("episodes")]


def _live(scene: Scene) -> list[LiveMetrics]:
    found = [LiveMetrics.decode(Codec().open(m.value(), "LiveMetrics")[1]) for m in scene.log.read("live-metrics")]
    return found[::-1]
