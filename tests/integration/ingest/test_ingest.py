"""`runbus ingest` as a user runs it: files into ClickHouse, beside a worker, and while the broker dies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.export.api import Choice
from runbus.export.descriptions import document
from runbus.export.job import export
from runbus.export.parquet import ParquetEpisodes
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.process import RunningProcess, start
from runbus.recorder import Recorder
from tests.integration.sink.sink_processes import Sinks, environment
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until
from tests.unit.export.recorded_episodes import described, recorded

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[3] / "docs" / "ingest.md").read_text(encoding="utf-8")


def environ(kafka: KafkaSettings, **more: str) -> dict[str, str]:
    """Return the environment of a user."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": kafka.topic_prefix,
        **more,
    }


def lines(*documents: dict[str, Any]) -> bytes:
    """Return documents as lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


def step(run: str, episode: int, number: int, **more: Any) -> dict[str, Any]:
    """Return a line of a trainer's worker."""
    return {
        "type": "step", "run_id": run, "agent_id": f"agent_{number % 2}", "episode_index": episode,
        "step_index": number // 2, "action_json": json.dumps(number),
        "observation_json": json.dumps({"x": [number, 0.5]}),
        "reward": number / 8, "terminated": number >= 8, "truncated": False,
        "ts_unix_ns": 1_700_000_000_000_000_000 + number * 1000,
        **more,
    }  # fmt: skip


@pytest.fixture
def stored(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> Iterator[KafkaSettings]:
    """Yield a broker whose log a sink stores."""
    apply_topics(kafka_settings, partitions=2)
    migrate(clickhouse_settings)
    sinks = Sinks(environment(kafka_settings, clickhouse_settings), tmp_path)
    sinks.start()
    yield kafka_settings
    sinks.kill_all()


def test_a_file_is_in_clickhouse_as_it_says(
    stored: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> None:
    """Steps, rewards, wall times, ends, what the worker reports, and the bad line with its reason."""
    facts = [step("run-7", episode, number) for episode in range(20) for number in range(10)]
    report = {"type": "episode", "run_id": "run-7", "agent_id": "agent_0", "episode_index": 0, "total_reward": 2.5}
    file = tmp_path / "run-7.jsonl"
    file.write_bytes(
        lines(*facts, report) + b'{"type": "step", "half\n' + lines({"event": "run_completed", "run_id": "run-7"})
    )
    done = subprocess.run(
        [sys.executable, "-m", "runbus.cli", "ingest", "mosaic", str(file), "--json"],
        env=environ(stored), capture_output=True, check=True,
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert (summary["steps"], summary["episodes"], summary["malformed"], summary["dead_letters"]) == (200, 40, 1, 1)
    assert (done.stderr, summary["dropped"], summary["undelivered"]) == (b"", 0, 0)
    with closing(connect(clickhouse_settings)) as client:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in client.query(sql).result_rows]

        until("the sink has it", lambda: rows("SELECT count() FROM steps") == [(240,)])
        found = rows(
            "SELECT agent_id, episode, step, toUnixTimestamp64Micro(ts), reward, terminated, action_int[1], "
            "observation_text "
            "FROM steps WHERE step > 0 ORDER BY agent_id, episode, step"
        )
        assert [one[:7] for one in found] == sorted(
            (f["agent_id"], f["episode_index"], f["step_index"] + 1, f["ts_unix_ns"] // 1000, f["reward"],
             f["terminated"],
             json.loads(f["action_json"]))
            for f in facts
        )  # fmt: skip
        assert [json.loads(one[7]) for one in found[:2]] == [{"x": [0, 0.5]}, {"x": [2, 0.5]}]
        until("the letter is stored", lambda: rows("SELECT count() FROM dead_letters") == [(1,)])
        ((component, value, error),) = rows("SELECT component, value, error FROM dead_letters")
        assert (component, value) == ("ingest", '{"type": "step", "half')
        assert error.startswith("it is no JSON")
        until("ends are stored", lambda: len(rows("SELECT 1 FROM runs WHERE outcome = 'completed'")) == 2)
        until("reports are stored", lambda: rows(
            "SELECT value, at FROM metrics WHERE name = 'reported/total_reward'") == [(2.5, 0)])  # fmt: skip


WORKER = """
import json, sys
number = 0
for _ in iter(sys.stdin.readline, ""):
    for _ in range(50):
        print(json.dumps({"type": "step", "run_id": "r", "episode_index": 0, "step_index": number, "action": number,
                          "reward": 1.0, "terminated": False, "truncated": False}))
        number += 1
    print("trained", number, flush=True)
sys.exit(7)
"""


def test_a_worker_goes_on_while_the_broker_is_killed(
    broker: tuple[KafkaOptions, list[RunningProcess]], tmp_path: Path
) -> None:
    """It answers without a broker; all of its steps are in the log in the end, and its exit code is kept."""
    options, started = broker
    settings = KafkaSettings(bootstrap_servers=options.bootstrap_servers)
    apply_topics(settings, partitions=1)
    log = TopicReader(settings)
    with subprocess.Popen(
        [sys.executable, "-m", "runbus.cli", "ingest", "mosaic", "--", sys.executable, "-c", WORKER],
        env=environ(settings, RUNBUS_RECORDER_FLUSH_SECONDS="200"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None

        def train() -> None:
            stdin.write(b"go\n")
            stdin.flush()
            while not stdout.readline().startswith(b"trained"):
                pass

        train()
        until("the first steps are in the log", lambda: sum(map(len, log.seqs().values())) == 51)
        started[-1].kill()
        for _ in range(5):
            train()
        started.append(start(kafka_service(options), tmp_path / "kafka.log"))
        stdin.close()
        errors = stderr.read().decode()
        assert process.wait(60) == 7
    assert "300 steps in 1 episodes of 1 streams" in errors
    assert "not recorded: 6 lines that are no JSON" in errors
    assert [len(seqs) for seqs in log.seqs().values()] == [301]
    (end,) = [event for event in log.runs() if event.kind == "FINISHED"]
    assert (end.outcome, end.error, end.produced) == ("failed", "the worker ended with exit code 7", 301)


def play(recorder: Recorder) -> None:
    """Record an episode."""
    recorder.reset(np.zeros(4, np.float32), seed=3)
    recorder.step(1, 1.0, True, False, np.ones(4, np.float32))


def test_the_commands_of_the_page_run(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """As they stand, with the worker of the page."""
    apply_topics(kafka_settings, partitions=2)
    (worker,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (commands,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "worker.py").write_text(worker)
    said = {"run_id": "run-9", "episode_id": "run-9-ep000000", "observation": "o", "action": "a", "llm_response": "a"}
    steps = ({**said, "step_index": n, "reward": 1.0, "terminated": n == 1} for n in range(2))
    (tmp_path / "run-9_steps.jsonl").write_bytes(lines(*steps))
    (tmp_path / "run-9_episodes.jsonl").write_bytes(lines({"run_id": "run-9", "num_steps": 2, "total_reward": 2.0}))
    (tmp_path / "rollouts").mkdir()
    for n in (1, 2):
        (tmp_path / "rollouts" / f"{n}.jsonl").write_bytes(
            lines({"input": "q", "output": "a", "score": 1.0, "step": n})
        )
    episodes = recorded(play)
    export(
        episodes,
        ParquetEpisodes(tmp_path / "cartpole-1.parquet"),
        Choice(),
        document("cartpole-1", described(episodes)),
    )
    done = subprocess.run(
        ["bash", "-euc", commands],
        env=environ(kafka_settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    produced: dict[str, int] = {}
    for event in TopicReader(kafka_settings).runs():
        if event.kind == "FINISHED":
            produced[event.run_id] = produced.get(event.run_id, 0) + event.produced
    assert produced == {"run-7": 18, "run-8": 18, "run-9": 3, "grpo-3": 4, "cartpole-1-ingested": 2}
