"""`runbus.rllib` with the real RLlib and its workers, on a real broker: where a Python has it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from runbus import recorder
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.schemas import avsc
from tests.support.recorded_rows import rows_of
from tests.support.topic_reader import TopicReader

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("RUNBUS_TEST_FRAMEWORKS", "")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not PYTHON, reason="Ray and PyTorch are 6 GB: `make test-frameworks` installs them and runs this"
    ),
]

Line = tuple[Any, float, bool, bool, list[float]]


def ran(command: list[str], folder: Path, settings: KafkaSettings) -> str:
    """Run the Python that has RLlib; return what it printed last."""
    sources = [Path(str(package.__file__)).parents[2] for package in (recorder, avsc)]
    with tempfile.TemporaryDirectory(
        prefix="ray-"
    ) as scratch:  # a short path: Ray's sockets are in it, and its results
        done = subprocess.run(
            [PYTHON, *command],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *sources])),
                "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
                "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
                "HOME": scratch,
                "RAY_TMPDIR": scratch,
                "RAY_AUTH_MODE": "disabled",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()[-1] if done.stdout else ""


def ledgers(folder: Path) -> list[list[Line]]:
    """Return what each environment wrote down; RLlib makes some that it only asks for their spaces."""
    files = [file.read_text().splitlines() for file in folder.glob("*.jsonl")]
    return [[(a, r, over, cut, seen) for a, r, over, cut, seen in map(json.loads, lines)] for lines in files if lines]


def test_a_training_is_recorded_as_its_environments_lived_it(tmp_path: Path, kafka_settings: KafkaSettings) -> None:
    """Runners and evaluations apart, in the run of the trial; environments that broke, and those made after them."""
    apply_topics(kafka_settings, partitions=2)
    trial = ran(["-m", "tests.integration.rllib.training", str(tmp_path)], tmp_path, kafka_settings)
    log = TopicReader(kafka_settings)
    found: dict[tuple[str, str, int, int], list[Line]] = defaultdict(list)
    for batch in log.batches():
        for row in rows_of(batch):
            action = None if row.step == 0 else int(row.action)
            stream = (batch.header.run_id, batch.header.agent_id, batch.header.attempt, row.env)
            found[stream].append((action, row.reward, *row.over, row.observation.tolist()))
    assert {run for run, *_ in found} == {f"rllib-{trial}"}
    attempts: dict[str, set[int]] = defaultdict(set)
    for _, agent, attempt, _ in found:
        attempts[agent].add(attempt)
    assert {agent: len(made) for agent, made in attempts.items()} == {"runner-1": 2, "eval-1": 1}
    assert sorted(found.values(), key=repr) == sorted(ledgers(tmp_path), key=repr)

    ends = {(event.agent_id, event.attempt): event.outcome for event in log.runs() if event.kind == "FINISHED"}
    assert [ends["runner-1", attempt] for attempt in sorted(attempts["runner-1"])] == ["failed", "completed"]
    names = {name for batch in log.metrics() for name in batch.names}
    assert {"env_runners/episode_return_mean", "evaluation/env_runners/num_episodes"} <= names
    assert not [name for name in names if name.startswith("config")]


def test_the_example_is_recorded(tmp_path: Path, kafka_settings: KafkaSettings) -> None:
    """examples/frameworks/rllib_cartpole.py as it stands: every runner is there to its end, with all of its steps."""
    apply_topics(kafka_settings, partitions=2)
    ran([str(ROOT / "examples" / "frameworks" / "rllib_cartpole.py")], tmp_path, kafka_settings)
    log = TopicReader(kafka_settings)
    seqs = log.seqs()
    ends = [event for event in log.runs() if event.kind == "FINISHED" and event.role == ""]
    assert sorted(event.agent_id for event in ends) == ["eval-1", "runner-1"]
    for event in ends:
        steps = seqs[event.run_id, event.agent_id, event.attempt]
        assert steps == list(range(event.produced))
