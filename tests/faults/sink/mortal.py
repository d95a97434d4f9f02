"""A broker and an engine of a test's own, to be killed and started again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import StoreError, translated
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import ProgramSpec, RunningProcess, last_lines, start
from tests.faults.stream_workers import PARTITIONS, ROOT
from tests.support.waiting import until

TRAP_S = 5.0


class Mortal:
    """A service that is killed again and again. It runs from the moment it is made; `stop` ends it for good.

    Args:
        service: what to run.
        log: takes what it says.
        ready: return once it answers.
    """

    def __init__(self, service: ProgramSpec, log: Path, *, ready: bool = True) -> None:
        self._service = service
        self._log = log
        self._running = start(service, log) if ready else RunningProcess(service, log)

    @property
    def pid(self) -> int:
        """Process id of its present life."""
        return self._running.pid

    def kill(self) -> None:
        """SIGKILL it, whether or not it is up already; fail if it had ended by itself before."""
        if self._running.process.poll() is not None:
            pytest.fail(f"{self._service.name} ended by itself.{last_lines(self._log)}")
        self._running.kill()

    def kill_if_alive(self) -> None:
        """SIGKILL it where it runs."""
        if not self.ended():
            self._running.kill()

    def again(self) -> None:
        """Start it anew; does not wait until it answers."""
        self._running = RunningProcess(self._service, self._log)

    def wait_ready(self) -> None:
        """Return once it answers."""
        self._running.wait_ready()

    def ended(self) -> bool:
        """Whether it is dead."""
        return self._running.process.poll() is not None

    def stop(self) -> None:
        """End it for good."""
        self._running.stop()


@dataclass(frozen=True, slots=True)
class Pair:
    """A broker with its topics and an engine with its tables."""

    broker: Mortal
    engine: Mortal
    kafka: KafkaSettings
    clickhouse: ClickHouseSettings

    def kill_between_token_and_rows(self) -> bool:
        """Kill the engine when it has written a token of `steps`; return False where it had to be at another time."""
        try:
            client = connect(self.clickhouse)
            folders = _token_logs(client)
            client.close()
        except StoreError:  # it is just starting
            folders = []
        if folders:
            argv = [sys.executable, "-m", "tests.faults.sink.trap", str(self.engine.pid), str(TRAP_S), *folders]
            if subprocess.run(argv, cwd=ROOT, check=False).returncode == 0:
                until("the engine is dead", self.engine.ended)
                return True
        self.engine.kill()
        return False


def _token_logs(client: Client) -> list[str]:
    query = "SELECT arrayJoin(data_paths) FROM system.tables WHERE database = currentDatabase() AND name = 'steps'"
    with translated():
        return [f"{row[0]}deduplication_logs" for row in client.query(query).result_rows]


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Yield a broker and an engine, ready."""
    options = KafkaOptions(folder / "kafka", free_port(), free_port(), cache())
    engine_options = ClickHouseOptions(folder / "engine", free_port(), new_password(), new_password())
    broker = Mortal(kafka_service(options), folder / "kafka.log")
    try:
        engine = Mortal(clickhouse_service(engine_options), folder / "engine.log")
        try:
            kafka = KafkaSettings(bootstrap_servers=options.bootstrap_servers)
            clickhouse = ClickHouseSettings(engine_options.url, OWNER, Secret(engine_options.owner_password), "runbus")
            apply_topics(kafka, partitions=PARTITIONS)
            migrate(clickhouse)
            yield Pair(broker, engine, kafka, clickhouse)
        finally:
            engine.stop()
    finally:
        broker.stop()
