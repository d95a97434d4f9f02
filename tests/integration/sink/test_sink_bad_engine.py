"""A real engine in real trouble under one running sink: its disk full, its process stopped, its table or user gone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.clickhouse_http.users import save_users, user
from runbus.local.ports import free_port
from runbus.local.process import RunningProcess, start
from tests.integration.sink.fault_setup import NO_ANSWER, SinkFaultSetup, playing
from tests.integration.sink.sink_processes import PARTITIONS
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

SINK = "the_sink"


@dataclass
class Engine:
    """An engine on a disk of its own, with a user of its own for the sink."""

    options: ClickHouseOptions
    output: Path
    disk: Path
    running: RunningProcess | None = None

    def start(self, sink_password: str) -> None:
        """Start it, after a stop with other users."""
        if self.running is not None:
            self.running.stop()
        service = clickhouse_service(self.options)
        users = (user(OWNER, self.options.owner_password, owner=True), user(SINK, sink_password, owner=True))
        save_users(self.options.home / "users.json", users)
        self.running = start(service, self.output)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.running is not None
        return self.running.pid

    @property
    def settings(self) -> ClickHouseSettings:
        """How its owner reaches it."""
        return ClickHouseSettings(self.options.url, OWNER, Secret(self.options.owner_password), "runbus")


PASSWORD = new_password()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Yield a migrated engine; where this machine lets us mount one, on a file system of 96 MB."""
    folder = tmp_path_factory.mktemp("engine")
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    options = ClickHouseOptions(disk / "home", free_port(), new_password(), new_password())
    engine = Engine(options, folder / "engine.log", disk if mounted else Path())
    try:
        engine.start(PASSWORD)
        migrate(engine.settings)
        yield engine
    finally:
        if engine.running is not None:
            engine.running.stop()
        if mounted:
            subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="module")
def scene(kafka: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SinkFaultSetup]:
    """Yield one sink that runs through all of it."""
    behind = replace(engine.settings, user=SINK, password=Secret(PASSWORD))
    with playing(kafka, engine.settings, tmp_path_factory.mktemp("sink"), behind) as scene:
        yield scene


def test_a_table_that_is_renamed_away(scene: SinkFaultSetup) -> None:
    """The landing of the steps is gone for a while: configuration, never skipped."""
    with scene.watch.looking():
        scene.tables.client.command("RENAME TABLE steps_landing TO steps_landing_away")
        try:
            scene.feed_some()
            scene.says_why(*[r"configuration: Code: 60\. .*steps_landing.*\(UNKNOWN_TABLE\)"] * PARTITIONS)
        finally:
            scene.tables.client.command("RENAME TABLE steps_landing_away TO steps_landing")
        scene.is_well()


def test_a_table_behind_the_view_that_is_renamed_away(scene: SinkFaultSetup) -> None:
    """The landing is there and its view has no target: the same, though half of the way is open."""
    with scene.watch.looking():
        scene.tables.client.command("RENAME TABLE steps TO steps_away")
        try:
            scene.feed_some()
            scene.says_why(*[r"configuration: Code: 60\. .*steps.*\(UNKNOWN_TABLE\)"] * PARTITIONS)
        finally:
            scene.tables.client.command("RENAME TABLE steps_away TO steps")
        scene.is_well()


def test_a_password_that_is_changed(scene: SinkFaultSetup, engine: Engine) -> None:
    """The engine starts again and does not know the sink's password, then again and does."""
    with scene.watch.looking():
        engine.start(new_password())
        scene.feed_some()
        scene.says_why(*[r"configuration: Code: 516\. .*Authentication failed.*"] * PARTITIONS)
        engine.start(PASSWORD)
        scene.is_well()


def test_a_disk_that_is_full(scene: SinkFaultSetup, engine: Engine) -> None:
    """Not a byte is left under the running engine: capacity, until somebody makes room."""
    if engine.disk == Path():
        pytest.skip("cannot mount a file system here")
    filler = engine.disk / "filler"
    with scene.watch.looking():
        try:
            _fill(filler)
            scene.feed_some()
            scene.says_why(*[r"capacity: .*(No space left on device|NOT_ENOUGH_SPACE)"] * PARTITIONS)
        finally:
            filler.unlink()
        scene.is_well()


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0")


def _all_announced(scene: SinkFaultSetup) -> bool:
    committed = scene.group.committed()
    return len(committed) == PARTITIONS and all(at.announced >= 0 for at in committed.values())


def test_an_engine_that_is_stopped_for_longer_than_anybody_waits(scene: SinkFaultSetup, engine: Engine) -> None:
    """SIGSTOP: connections are taken and nothing is answered, past the sink's patience and its session.

    Behind it the engine finds several attempts of each range in its sockets, and stores one.
    """
    before = _unanswered(scene)
    with scene.watch.looking():
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            scene.feed_some()
            until("ranges are announced", lambda: _all_announced(scene))
            waiting = scene.group.committed()
            scene.says_why(*[NO_ANSWER] * PARTITIONS)
            until("each range was tried again", lambda: _unanswered(scene) >= before + 2 * PARTITIONS)
            assert scene.group.committed() == waiting
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        scene.is_well()


def _unanswered(scene: SinkFaultSetup) -> float:
    return scene.pages.value("runbus_retries_total", reason="ambiguous") or 0
