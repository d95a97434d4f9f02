"""The example of a user's stream app from its topics to its reset, by the commands that a user has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port
from runbus.schemas.batch import BatchHeader, StepBatch
from tests.faults.stream_workers import EXAMPLE, PARTITIONS, Cursor, workers
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.reader.log import ATTEMPT, Log
from tests.support.batches import step_columns
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.long]

AGENTS, ENDS = 6, 50


def batch(agent: int) -> StepBatch:
    """Return the steps of an agent: each ends an episode, the odd ones with success."""
    seq = np.arange(ENDS)
    columns = step_columns(seq, seq, terminated=np.ones(ENDS, "u1"), reward=(seq % 2).astype("<f8"))
    return StepBatch(BatchHeader("run", f"agent-{agent}", ATTEMPT, 0, ENDS, 0, 0), columns)


def said(settings: KafkaSettings) -> list[tuple[str, int, int]]:
    """Return everything on its topic, sorted by agent."""
    found = [json.loads(message.value() or b"") for message in TopicReader(settings).read(EXAMPLE)]
    return sorted((one["agent"], one["episodes"], one["successes"]) for one in found)


def test_it_is_known_to_the_commands_works_like_ours_and_is_moved(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Topics by its name, probes and heartbeats of its kind, a cursor, and after a reset everything once more."""
    settings = kafka_settings
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
        "RUNBUS_STREAM_APPS": EXAMPLE,
    }
    apply = [sys.executable, "-m", "runbus.cli", "topics", "apply", "--partitions", str(PARTITIONS), "--json"]
    done = subprocess.run(apply, env={**os.environ, **env}, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    made = {change["topic"] for change in json.loads(done.stdout)}
    assert {f"{settings.topic_prefix}{EXAMPLE}", f"{settings.topic_prefix}{EXAMPLE}-state-changelog"} <= made
    wanted = [(f"agent-{a}", n, n // 2) for a in range(AGENTS) for n in range(1, ENDS + 1)]
    Log(settings).batches(*map(batch, range(AGENTS)))
    command, port = CursorsCommand(env, tmp_path), free_port()
    with workers(EXAMPLE, settings, tmp_path, RUNBUS_PROBES_ADDRESS=f"127.0.0.1:{port}") as app:
        cursor, process = Cursor(settings, app.group), app.start("worker-7")
        until("it takes the log", cursor.at_end)
        assert said(settings) == sorted(wanted)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert f'runbus_build_info{{kind="{EXAMPLE}"' in text
        assert 'runbus_state_entries{what="streams"} 6.0' in text
        until("it sends heartbeats", lambda: "worker-7" in {h.component_id for h in TopicReader(settings).heartbeats()})
        app.stop(process)
        group = command.groups()[app.group]
        assert (group["kind"], group["lag_events"]) == (EXAMPLE, 0)
        unnamed = CursorsCommand({**env, "RUNBUS_STREAM_APPS": ""}, tmp_path)
        refused = unnamed.refused("reset", app.group, "--to", "beginning", "--yes", code=2)
        assert f"is a stream app, whose state has to be moved with it: name it, RUNBUS_STREAM_APPS={EXAMPLE}" in refused
        moves = json.loads(command.run("reset", app.group, "--to", "beginning", "--yes", "--json"))
        assert {move["after"] for move in moves} == {0}
        assert "the state anew" in {move["state"] for move in moves}
        app.stop(_at_the_end(app.start("worker-7"), cursor))
        cursor.close()
    assert said(settings) == sorted(wanted * 2)


def _at_the_end(process: subprocess.Popen[bytes], cursor: Cursor) -> subprocess.Popen[bytes]:
    until("it takes the log again", cursor.at_end)
    return process
