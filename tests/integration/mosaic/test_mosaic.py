"""A file of MOSAIC's worker, through Kafka and ClickHouse, is what the bus, the store and a replay hand out."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import clickhouse_connect
import pytest
from confluent_kafka.admin import AdminClient

from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.mosaic import EpisodeRollup, ReplayStore, RunBus, StepRecord, Topic, replay
from runbus.mosaic.following import Following
from tests.integration.sink.sink_processes import Sinks, environment
from tests.support.waiting import until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
FACTS = [
    {
        "type": "step", "run_id": "run-7", "agent_id": "agent_1", "episode_index": episode, "step_index": n,
        "action": {"move": n}, "observation": [0.1 * n, 2], "reward": n / 8, "terminated": n == 4, "truncated": False,
        "ts_unix_ns": (1_700_000_000_000_000 + 10 * episode + n) * 1000, "render_payload": {"mode": "rgb", "n": n},
    }
    for episode in range(10) for n in range(5)
]  # fmt: skip
Fact = tuple[Any, ...]


def expected() -> list[Fact]:
    """Return what the file says."""
    return [
        (f["episode_index"], f["step_index"], f["action"], f["observation"], f["reward"], f["terminated"],
         f["render_payload"])
        for f in FACTS
    ]  # fmt: skip


@dataclass
class Stored:
    """A run that was ingested, stored and finalised; and what the bus heard meanwhile."""

    kafka: KafkaSettings
    store: ReplayStore
    env: dict[str, str]
    bus: RunBus
    queues: dict[Topic, Any]


@pytest.fixture(scope="module")
def stored(kafka: str, clickhouse: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """Yield the file's run, followed from its beginning."""
    folder, name = tmp_path_factory.mktemp("mosaic"), f"t{uuid4().hex[:10]}"
    settings, database = (
        KafkaSettings(bootstrap_servers=kafka, topic_prefix=f"{name}."),
        replace(clickhouse, database=name),
    )
    apply_topics(settings, partitions=2)
    migrate(database)
    env = environment(settings, database)
    sinks = Sinks(env, folder)
    bus = RunBus()
    queues = {topic: bus.subscribe_with_size(topic, "gui", 1000) for topic in Topic}
    following = Following(bus.publish, start="beginning", settings=settings)
    try:
        for module in ("runbus.sink", "runbus.episodes"):
            sinks.start(module)
        file = folder / "run-7.jsonl"
        file.write_bytes(
            b"".join(json.dumps(fact).encode() + b"\n" for fact in FACTS)
            + b'{"event": "run_completed", "run_id": "run-7"}'
        )
        subprocess.run(
            [sys.executable, "-m", "runbus.cli", "ingest", "mosaic", str(file), "--frames", "keep"],
            env=environ(env), check=True, capture_output=True,
        )  # fmt: skip
        store = ReplayStore(database)
        until("the run is stored", lambda: store.get_run_summary("run-7")["steps"] == len(FACTS))
        until("its episodes are stored", lambda: store.get_run_summary("run-7")["episodes"] == 10)
        until("its end is stored", lambda: store.get_run_summary("run-7")["status"] == "completed")
        until("the bus has heard all", lambda: queues[Topic.EPISODE_FINALIZED].qsize() == 10)
        yield Stored(settings, store, env, bus, queues)
    finally:
        following.close()
        sinks.kill_all()
        client = clickhouse_connect.get_client(
            dsn=clickhouse.url, username=clickhouse.user, password=clickhouse.password.reveal(), database="default"
        )
        client.command(f"DROP DATABASE IF EXISTS `{name}` SYNC")
        client.close()
        admin = AdminClient({**settings.client_config()})
        mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]
        for done in admin.delete_topics(mine).values():
            done.result(30)


def environ(env: dict[str, str]) -> dict[str, str]:
    """Return the environment of a user."""
    return {**os.environ, **env}


def of_payload(payload: dict[str, Any]) -> Fact:
    """Return what a payload says."""
    parsed = [json.loads(payload[name]) for name in ("action_json", "observation_json")]
    return (payload["episode_index"], payload["step_index"], *parsed, payload["reward"], payload["terminated"],
            json.loads(payload["render_payload_json"]))  # fmt: skip


def of_record(record: StepRecord) -> Fact:
    """Return what a record says."""
    episode = int(record.episode_id.rsplit("/", 1)[1])
    return (
        episode,
        record.step_index,
        record.action,
        record.observation,
        record.reward,
        record.terminated,
        record.render_payload,
    )


def taken(waiting: Any) -> list[Any]:
    """Return what waits."""
    return [waiting.get_nowait() for _ in range(waiting.qsize())]


def test_the_bus_hears_what_the_file_says(stored: Stored) -> None:
    """Steps in order, each once; each episode, the beginning and the end of the run."""
    until("all steps came", lambda: stored.queues[Topic.STEP_APPENDED].qsize() == len(FACTS))
    steps = taken(stored.queues[Topic.STEP_APPENDED])
    assert [of_payload(one.payload) for one in steps] == expected()
    assert [one.seq_id for one in steps] == [6 * episode + n + 1 for episode in range(10) for n in range(5)]
    until("the end came", lambda: stored.queues[Topic.RUN_COMPLETED].qsize() == 1)
    (end,) = taken(stored.queues[Topic.RUN_COMPLETED])
    assert (end.payload["outcome"], end.payload["steps"], end.run_id) == ("completed", 60, "run-7")
    assert stored.bus.sequence_stats() == {"run-7:agent_1": 59}
    episodes = sorted(
        (one.payload for one in taken(stored.queues[Topic.EPISODE_FINALIZED])), key=lambda p: p["episode_index"]
    )
    assert [(p["episode_index"], p["total_reward"], p["steps"]) for p in episodes] == [(n, 1.25, 5) for n in range(10)]


def test_the_store_answers_with_what_the_file_says(stored: Stored) -> None:
    """All five questions."""
    store = stored.store
    episodes = store.episodes_for_run("run-7")
    assert [(one.metadata["episode_index"], one.total_reward, one.steps, one.terminated) for one in episodes] == [
        (n, 1.25, 5, True) for n in range(10)
    ]
    records = [record for one in episodes for record in store.episode_steps(one.episode_id)]
    assert [of_record(record) for record in records] == expected()
    assert [round(record.timestamp.timestamp() * 1e6) for record in records] == [f["ts_unix_ns"] // 1000 for f in FACTS]  # type: ignore[operator]
    newest: tuple[EpisodeRollup, ...] = store.episodes_for_run("run-7", agent_id="agent_1", limit=2, order_desc=True)
    assert [one.metadata["episode_index"] for one in newest] == [9, 8]
    assert [one.episode_id for one in store.recent_episodes(2)] == [one.episode_id for one in newest]
    assert [of_record(record) for record in store.recent_steps(3)] == expected()[:-4:-1]
    assert store.episodes_for_run("run-7", agent_id="nobody") == ()
    assert store.episode_steps("x") == ()
    summary = store.get_run_summary("run-7")
    assert {**summary, "last_update": summary["last_update"][:26]} == {
        "run_id": "run-7", "episodes": 10, "steps": 50, "total_reward": 12.5, "status": "completed",
        "agent_id": "agent_1", "last_update": "2023-11-14T22:13:20.000094",
    }  # fmt: skip
    assert store.get_run_summary("no-such-run")["status"] == "unknown"


def test_a_replay_is_the_run_again(stored: Stored) -> None:
    """From the log, as fast as it can be read."""
    bus = RunBus()
    steps, ends = (
        bus.subscribe_with_size(Topic.STEP_APPENDED, "replay", 1000),
        bus.subscribe(Topic.RUN_COMPLETED, "replay"),
    )
    assert replay(bus, "run-7", math.inf, settings=stored.kafka) == len(FACTS) + 2
    assert [of_payload(one.payload) for one in taken(steps)] == expected()
    assert ends.qsize() == 1
    with pytest.raises(RunBusError, match="no-such-run"):
        replay(bus, "no-such-run", settings=stored.kafka)


def test_the_examples_of_the_page_run(stored: Stored) -> None:
    """As they stand."""
    page = (ROOT / "docs" / "mosaic.md").read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=environ(stored.env),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
