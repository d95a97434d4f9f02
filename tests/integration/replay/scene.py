"""A log that real recorders and a seeded producer wrote, and the processes that make rows and results of it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.recorder import Recorder, RunBus
from runbus.recorder.process import PROCESS
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, LiveMetrics
from tests.faults.load import make_load
from tests.integration.sink.sink_processes import Feed, Sinks, environment
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

PARTITIONS = 3
STEPS = 2_000
VECTOR, TEXT = "vector-1", "assistant-1"
_APPS = ("episodes", "live-metrics")
Values = dict[str, Any]


@dataclass
class Scene:
    """The log and what is made of it.

    Attributes:
        runs: of the seeded producer, those that say FINISHED.
    """

    settings: KafkaSettings
    clickhouse: ClickHouseSettings
    processes: Sinks
    folder: Path
    client: Client
    runs: list[str]

    @property
    def log(self) -> TopicReader:
        """The topics, as any consumer reads them."""
        return TopicReader(self.settings)

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `runbus`."""
        return subprocess.Popen(
            [sys.executable, "-m", "runbus.cli", *arguments],
            env={**os.environ, **self.processes.env},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run `runbus` to its end; return what it printed, or its complaint if it must fail."""
        process = self.command(*arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return out or err

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run it with --json; return the document."""
        return json.loads(self.run(*arguments, "--json", code=code))

    def settle(self) -> None:
        """Wait until the sink and the apps have taken all that is in the log, and time has closed what it closes."""
        until("everything is taken", lambda: all(map(self._taken, ("sink", *_APPS))))

    def _taken(self, group: str) -> bool:
        topics = ("steps", "runs", "episodes", "dead-letters") if group == "sink" else ("steps",)
        for topic in topics:
            with open_topic(self.settings, topic, self.settings.topic_prefix + group) as log:
                if any(log.bounds(p)[1] > offset for p, offset in log.committed().items()):
                    return False
        return True

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a question."""
        return [tuple(row) for row in self.client.query(sql, parameters=parameters).result_rows]

    def episodes(self, run: str) -> dict[tuple[Any, ...], Values]:
        """Return the newest revision of each episode of a run, without what names the run."""
        found = {}
        for message in self.log.read("episodes"):
            event = EpisodeFinalized.decode(Codec().open(message.value(), "EpisodeFinalized")[1])
            if event.run_id == run:
                key = (event.agent_id, event.attempt, event.env, event.episode)
                found[key] = _values(event, "id", "run_id", "revision")
        return found

    def totals(self, run: str) -> dict[tuple[Any, ...], Values]:
        """Return the last totals of each stream of a run."""
        found = {}
        for message in self.log.read("live-metrics"):
            event = LiveMetrics.decode(Codec().open(message.value(), "LiveMetrics")[1])
            if event.run_id == run:
                without = ("run_id", "sent_at", "positions", "windows", "steps_per_second")
                found[event.agent_id, event.attempt] = _values(event, *without)
        return found

    def steps(self, run: str) -> list[tuple[Any, ...]]:
        """Return a hash of what is stored of each stream's steps, each once, but for the run and its records."""
        columns = "* EXCEPT (run_id, sent_at, dropped, kafka_topic_id, kafka_partition, kafka_offset)"
        return self.rows(
            "SELECT agent_id, attempt, count(), sum(hash) FROM (SELECT agent_id, attempt, seq, "
            f"min(sipHash64(formatRowNoNewline('RowBinary', {columns}))) AS hash FROM steps "
            "WHERE run_id = {run:String} GROUP BY agent_id, attempt, seq) GROUP BY ALL ORDER BY ALL",
            run=run,
        )

    def start(self, kind: str) -> subprocess.Popen[bytes]:
        """Start the sink or an app."""
        return self.processes.start(f"runbus.{kind.replace('-', '_')}")


def _values(event: Any, *without: str) -> Values:
    # repr: NaN is NaN, and a float is every bit of it
    return {f.name: repr(getattr(event, f.name)) for f in dataclasses.fields(event) if f.name not in without}


def record(settings: KafkaSettings) -> None:
    """Record a vector environment of two agents with rewards of many digits, and an agent of words."""
    rng, bus = np.random.default_rng(7), RunBus()
    for agent in ("agent-0", "agent-1"):
        with Recorder(VECTOR, agent, config={"lr": 0.1}, bus=bus, settings=settings) as recorder:
            recorder.reset_vector(rng.normal(size=(4, 3)).astype(np.float32))
            for _ in range(300):
                ends = rng.random(4) < 0.05
                observations = rng.normal(size=(4, 3)).astype(np.float32)
                recorder.step_vector(rng.integers(0, 5, 4), rng.normal(size=4), ends, np.zeros(4, bool), observations)
                if ends.any():
                    recorder.reset_vector(observations, mask=ends)
        assert recorder.flush(30)
    with Recorder(TEXT, "planner", bus=bus, settings=settings) as recorder:
        recorder.reset("Find \x1b[31mit.", labels={"task": "t1"}, seed=7)
        recorder.step({"tool": "search"}, 0.25, False, False, "3 results", kind="model")
        recorder.log({"tokens": 412})
        recorder.step({"tool": "answer"}, float("nan"), True, False, "89 EUR", info={"ok": True}, stop="done")
    assert recorder.flush(30)
    PROCESS._couriers.pop(id(bus))[1].stop()  # it would send heartbeats for as long as the tests run


def _seeded(settings: KafkaSettings) -> list[str]:
    """Write a seeded log with every irregularity; return its runs that have ended, stream by stream."""
    load, feed = make_load(21, STEPS), Feed(settings)
    for sent in load.records:
        if sent.after_all:
            feed.flush()
        feed.send(sent.topic, sent.key, sent.value)
    feed.flush()
    log = TopicReader(settings)
    ended = {StreamId(e.run_id, e.agent_id, e.attempt) for e in log.runs() if e.kind == "FINISHED"}
    streams: dict[str, set[StreamId]] = {}
    for message in log.read("steps"):
        try:
            run, agent = (message.key() or b"").decode().split("/")
        except ValueError:
            continue
        streams.setdefault(run, set()).update(s for s in ended if s[:2] == (run, agent))
    return sorted(run for run, found in streams.items() if found and run not in (VECTOR, TEXT))


@contextmanager
def playing(kafka: str, clickhouse: ClickHouseSettings, folder: Path) -> Iterator[Scene]:
    """Yield the scene; stop and delete all of it."""
    name = f"t{uuid.uuid4().hex[:10]}"
    settings = KafkaSettings(bootstrap_servers=kafka, topic_prefix=f"{name}.")
    database = replace(clickhouse, database=name)
    apply_topics(settings, partitions=PARTITIONS)
    migrate(database)
    env = {**environment(settings, database), "RUNBUS_SINK_DEAD_LETTER_RUN": "0", "RUNBUS_SINK_DEAD_LETTER_SHARE": "1"}
    processes = Sinks(env, folder)
    client = connect(database)
    record(settings)
    scene = Scene(settings, database, processes, folder, client, _seeded(settings))
    try:
        for kind in ("sink", *_APPS):
            scene.start(kind)
        scene.settle()
        yield scene
    finally:
        processes.kill_all()
        client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
        client.close()
        admin = AdminClient({**settings.client_config()})
        mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]
        for done in admin.delete_topics(mine).values():
            done.result(30)
