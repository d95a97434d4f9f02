"""A stream app that is moved ends as it would have without: the same results, each revision once to its readers."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.faults.stream_workers import KINDS, PARTITIONS
from tests.integration.cursors.app_resets import AppReset, app_at_the_end
from tests.integration.cursors.cursors_command import audit_ranges
from tests.integration.sink.conftest import migrated
from tests.integration.sink.sink_processes import Sinks, environment
from tests.support.waiting import until

__all__ = ["migrated"]

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(280)]


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    return kafka_settings


def _reset(app: AppReset, *where: str) -> list[dict[str, object]]:
    moves: list[dict[str, object]] = json.loads(app.command.run("reset", app.group, "--to", *where, "--yes", "--json"))
    return moves


@pytest.mark.parametrize("kind", [KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.long)])
def test_from_the_beginning_it_ends_as_before(kind: str, settings: KafkaSettings, tmp_path: Path) -> None:
    """All state is gone, the whole log is read again, and a reader of the topic has what it had."""
    with app_at_the_end(kind, settings, tmp_path, seed=11) as app:
        before = app.times_said() if kind == "episodes" else None
        assert {move["after"] for move in _reset(app, "beginning")} == {0}
        assert app.run.cursor.committed() == dict.fromkeys(range(PARTITIONS), 0)
        process = app.start()
        app.ends_as_before()
        if before is not None:
            until("every episode was said again", lambda: app.times_said() == dict.fromkeys(before, 2))
        app.run.workers.stop(process)


@pytest.mark.parametrize(
    ("kind", "word"), [pytest.param("episodes", "time", marks=pytest.mark.long), ("live-metrics", "run")]
)
def test_from_the_middle_it_ends_as_before(kind: str, word: str, settings: KafkaSettings, tmp_path: Path) -> None:
    """Agents that began before are kept, the others are computed anew; killed on the way, it is still exact."""
    with app_at_the_end(kind, settings, tmp_path, seed=12) as app:
        moves = _reset(app, word, app.middle_time() if word == "time" else app.log.runs()[0].run_id)
        assert len(moves) == PARTITIONS if word == "time" else moves
        assert any(re.search(r"[1-9]\d* (streams anew|kept)", str(move["state"])) for move in moves)
        process = app.start()
        until("it works", lambda: "streams.opened" in app.run.workers.log(process))
        app.run.workers.kill(process)
        process = app.start()
        app.ends_as_before()
        app.run.workers.stop(process)
        assert not [message for message in app.log.read(f"{kind}-state-changelog") if message.key() is None]


def test_it_is_refused_while_a_worker_runs_and_a_zombie_is_fenced(settings: KafkaSettings, tmp_path: Path) -> None:
    """A worker that is stopped past its session cannot write when it goes on, and the app is exact."""
    with app_at_the_end("episodes", settings, tmp_path, seed=13) as app:
        zombie = app.start()
        until("it owns its partitions", lambda: app.run.workers.log(zombie).count("streams.opened") == PARTITIONS)
        assert "has 1 members" in app.command.refused("reset", app.group, "--to", "beginning", "--yes")
        zombie.send_signal(signal.SIGSTOP)
        until("the group let go of it", lambda: app.command.groups()[app.group]["members"] == 0)
        _reset(app, "beginning")
        assert app.run.cursor.committed() == dict.fromkeys(range(PARTITIONS), 0)
        zombie.send_signal(signal.SIGCONT)
        app.ends_as_before()
        until("every episode was said again", lambda: set(app.times_said().values()) == {2})
        app.run.workers.stop(zombie)


def test_clickhouse_shows_each_revision_once(
    settings: KafkaSettings, migrated: ClickHouseSettings, tmp_path: Path
) -> None:
    """What was said twice is two rows of `episodes` and one of `episodes_latest`, as before; the audit is exact."""
    sinks = Sinks(environment(settings, migrated), tmp_path)
    client = connect(migrated)
    runs: list[str] = []

    def stored(what: str) -> list[tuple[object, ...]]:
        query = f"SELECT {what} WHERE run_id IN {{runs:Array(String)}} ORDER BY ALL"
        return [tuple(row) for row in client.query(query, parameters={"runs": runs}).result_rows]

    try:
        with app_at_the_end("episodes", settings, tmp_path, seed=14) as app:
            runs += app.runs
            said = len(app.episodes())
            sink = sinks.start(dead_letter_run="0", dead_letter_share="1")
            until("the results are stored", lambda: len(stored("id FROM episodes")) == said)
            latest = stored("* EXCEPT (kafka_offset, revision) FROM episodes_latest")
            _reset(app, "beginning")
            process = app.start()
            app.ends_as_before()
            app.run.workers.stop(process)
            again = len(app.episodes())
            assert again > said
            until("they are stored again", lambda: len(stored("id FROM episodes")) == again)
            assert stored("* EXCEPT (kafka_offset, revision) FROM episodes_latest") == latest
            ids = stored("id FROM episodes_latest")
            assert len(ids) == len(set(ids))
            assert sinks.stop(sink) == 0
            assert audit_ranges(sinks.env, tmp_path)["sound"]
    finally:
        sinks.kill_all()
        client.close()
