"""What must be in the tables after a soak: what was written, each once, with the values that follow from its `seq`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.batch import BatchHeader, decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized
from tests.faults.sink.traffic import SOURCE, Traffic
from tests.faults.stream_workers import PARTITIONS, Cursor
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

#: topics that end when the traffic does
STORED = dict.fromkeys(("steps", "metrics", "runs", "episodes"), PARTITIONS)
TAKEN_S = 300.0
_DERIVED = (
    "attempt = 1 AND env = 0 AND episode = intDiv(seq, 200) AND step = seq % 200 AND tick = -1 "
    "AND ts = fromUnixTimestamp64Micro(1790000000000000 + seq * 20000, 'UTC') AND reward = seq "
    "AND terminated = (seq % 200 = 199) AND NOT truncated "
    "AND action_int = if(seq = 0, [], [seq]) "  # a reset has none
    "AND observation = arrayWithConstant(4, toFloat64(seq)) AND dropped = 0"
)
_DERIVED_METRIC = (
    "value = seq AND at = seq AND name = ['loss', 'return'][seq % 2 + 1] "
    "AND axis = ['global_step', 'env_steps'][seq % 2 + 1] AND kind = 'metric' AND dropped = 0 "
    "AND ts = fromUnixTimestamp64Micro(1790000000000000 + seq, 'UTC')"
)
_BY_EPISODE = (
    "SELECT run_id, agent_id, attempt, env, episode, count(), sum(reward), min(reward), max(reward), max(step), "
    "min(ts), max(ts), max(terminated), max(truncated) FROM steps GROUP BY run_id, agent_id, attempt, env, episode "
    "ORDER BY run_id, agent_id, attempt, env, episode"
)


@dataclass(frozen=True, slots=True)
class Work:
    """What the sinks did, from the last heartbeat of each life: a lower bound, a life's last second may be missing."""

    lives: int
    ranges: int
    replays: int
    verified: int
    repairs: int
    repaired_rows: int
    fenced: int
    sessions: int

    def __str__(self) -> str:
        """Return it for people."""
        return ", ".join(f"{getattr(self, f.name):,} {f.name.replace('_', ' ')}" for f in fields(self))


@dataclass(frozen=True, slots=True)
class Audit:
    """Questions to the log and to the tables about one traffic."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    traffic: Traffic

    def wait(self) -> None:
        """Return once the sinks have taken everything, by what they committed and by the rows of the heartbeats."""
        for topic, partitions in STORED.items():
            cursor = Cursor(self.kafka, f"{self.kafka.topic_prefix}sink", topic, partitions)
            try:
                until(f"all of {topic} is taken", cursor.at_end, TAKEN_S)
            finally:
                cursor.close()
        with self._client() as client:
            query = f"SELECT count() FROM heartbeats WHERE component_id = '{self.traffic.run}'"
            wanted = len(self.traffic.written.beats)
            until(f"{wanted} heartbeats", lambda: int(str(client.command(query))) >= wanted, TAKEN_S)

    def check(self) -> None:
        """Fail unless everything is there once, and right."""
        self._check_log()
        with self._client() as client:
            self._check_steps(client)
            self._check_metrics(client)
            self._check_events(client)
            self._check_episodes(client)
            self._check_positions(client)
            self._check_projection(client)

    def work(self) -> Work:
        """Return what the sinks said that they did."""
        names = [f.name for f in fields(Work)][1:]
        said = ", ".join(f"max(JSONExtractInt(detail, '{name}')) AS {name}" for name in names)
        query = (
            f"SELECT count(), {', '.join(f'sum({name})' for name in names)} FROM "
            f"(SELECT {said} FROM heartbeats WHERE kind = 'sink' GROUP BY component_id, started_at)"
        )
        with self._client() as client:
            return Work(*map(int, client.query(query).result_rows[0]))

    @contextmanager
    def _client(self) -> Iterator[Client]:
        client = connect(self.clickhouse)
        try:
            yield client
        finally:
            client.close()

    # --- checks ---------------------------------------------------------------------------------------------------

    def _check_log(self) -> None:
        """The log itself has each step once: a doubled or lost batch would be the producer's, not the sink's."""
        found: Counter[str] = Counter()
        for header in self._batches():
            assert header.first_seq == found[header.agent_id], f"{header.agent_id}: {header.first_seq} in the log"
            found[header.agent_id] += header.count
        assert found == self.traffic.written.steps

    def _batches(self) -> Iterator[BatchHeader]:
        codec = Codec()
        for message in TopicReader(self.kafka).read("steps"):
            yield decode(codec.open(message.value(), "StepBatch")[1]).header

    def _check_steps(self, client: Client) -> None:
        rows = client.query(
            f"SELECT agent_id, count(), uniqExact(seq), min(seq), max(seq), countIf({_DERIVED}) FROM steps "
            "GROUP BY agent_id ORDER BY agent_id"
        ).result_rows
        wanted = [(agent, n, n, 0, n - 1, n) for agent, n in sorted(self.traffic.written.steps.items())]
        assert not set(wanted) ^ set(rows), f"(there, wanted): {[*zip(rows, wanted, strict=False)]}"

    def _check_metrics(self, client: Client) -> None:
        """Each value once, with what follows from its `seq`, and each record whole."""
        rows = client.query(
            f"SELECT source, count(), uniqExact(seq), min(seq), max(seq), countIf({_DERIVED_METRIC}), "
            "uniqExact(kafka_topic_id, kafka_partition, kafka_offset) FROM metrics GROUP BY source"
        ).result_rows
        n, records = self.traffic.written.metrics, self.traffic.written.metric_records
        assert [tuple(row) for row in rows] == ([(SOURCE, n, n, 0, n - 1, n, records)] if n else [])

    def _check_events(self, client: Client) -> None:
        written = self.traffic.written
        runs = [(str(agent), str(kind)) for agent, kind in client.query("SELECT agent_id, kind FROM runs").result_rows]
        assert sorted(runs) == sorted(written.runs)
        query = f"SELECT toUnixTimestamp64Micro(sent_at) FROM heartbeats WHERE component_id = '{self.traffic.run}'"
        assert sorted(row[0] for row in client.query(query).result_rows) == written.beats

    def _check_episodes(self, client: Client) -> None:
        """What committed transactions hold is there once, what was aborted is not; who knows neither asks the log."""
        codec = Codec()
        values = (message.value() for message in TopicReader(self.kafka).read("episodes"))
        logged = sorted(EpisodeFinalized.decode(codec.open(v, "EpisodeFinalized")[1]).id for v in values)
        outcomes = self.traffic.written.episodes
        sure = {name for name, committed in outcomes.items() if committed}
        assert sure <= set(logged) <= {name for name, committed in outcomes.items() if committed is not False}
        assert sorted(row[0] for row in client.query("SELECT id FROM episodes").result_rows) == logged

    def _check_positions(self, client: Client) -> None:
        """No record is there twice, nor a part of one, in any table; nothing became a dead letter or a lost range."""
        for table in ("runs", "episodes", "heartbeats"):
            query = f"SELECT count() - uniqExact(kafka_topic_id, kafka_partition, kafka_offset) FROM {table}"
            assert client.command(query) == 0, table
        assert client.command("SELECT uniqExact(kafka_topic_id, kafka_partition, kafka_offset) FROM steps") == (
            self.traffic.written.records
        )
        assert client.command("SELECT (SELECT count() FROM dead_letters) + (SELECT count() FROM lost_ranges)") == 0

    def _check_projection(self, client: Client) -> None:
        """The aggregates that parts carry equal those of the rows."""
        raw = client.query(_BY_EPISODE, settings={"optimize_use_projections": 0}).result_rows
        forced = {"force_optimize_projection": 1, "force_optimize_projection_name": "by_episode"}
        assert client.query(_BY_EPISODE, settings=forced).result_rows == raw
        assert len(raw) == sum((steps + 199) // 200 for steps in self.traffic.written.steps.values())
