"""Three brokers, of which one or two are killed together under load: everything is exact and no process ends."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.kafka.admin import apply_topics
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.ports import free_port
from runbus.recorder import Recorder, RunBus
from tests.faults.cluster import NODES, Cluster, cluster
from tests.faults.scenarios import AppRun, AppSetup, Size
from tests.faults.sink.mortal import Mortal, Pair
from tests.faults.sink.soak import Group, SoakRun
from tests.faults.sink.traffic import Rate
from tests.faults.stream_workers import KINDS, PARTITIONS
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(900)]

Say = Callable[[str], None]
#: Brokers that are killed together, and for how many seconds they are away: less than any timeout of a client, longer
#: than a session, longer than a request (20 s) and its transaction may take.
ROUNDS: Sequence[tuple[Sequence[int], float]] = (((0,), 4.0), ((1, 2), 6.0), ((2,), 0.5), ((0, 1), 28.0))
# No episode may go idle while its steps wait for brokers.
SIZE = Size(40_000, 0, 8.0, 90.0)
_WAIT_S = 180.0


def alive(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Fail if one of them has ended."""
    assert [process.poll() for process in processes] == [None] * len(processes)


@pytest.mark.parametrize("seed", [1, 2])
def test_stream_apps_outlive_their_brokers(seed: int, tmp_path: Path, say: Say) -> None:
    """Both apps at once, four rounds of kills while steps flow: what comes out equals the reference."""
    rng = random.Random(seed)
    with ExitStack() as stack:
        brokers = stack.enter_context(cluster(tmp_path))
        stages = [stack.enter_context(_stage(kind, brokers, tmp_path, seed)) for kind in KINDS]
        processes = [stage.workers.start() for stage in stages]
        try:
            for number, (nodes, seconds) in enumerate(ROUNDS):
                _allow(stages, (number + 0.5) / len(ROUNDS))
                time.sleep(rng.uniform(0.0, 0.5))  # the moment is random, that is the point
                brokers.kill(nodes)
                for stage in stages:  # load goes on while they are away
                    stage.feed.allow((number + 1) / len(ROUNDS))
                time.sleep(seconds)  # how long they are away is what is tried
                alive(processes)
                brokers.again(nodes)
                alive(processes)
            for stage in stages:
                stage.feed.finish()
                until(f"{stage.place.kind} takes the whole log", stage.cursor.at_end, _WAIT_S)
            alive(processes)
        except BaseException:
            for stage, process in zip(stages, processes, strict=True):
                say(f"{stage.place.kind}:\n{stage.workers.log(process)[-4000:]}")
            raise
        said = [stage.workers.log(process) for stage, process in zip(stages, processes, strict=True)]
        for stage in stages:
            stage.finish()
        again = sum(text.count("streams.taken_back") for text in said)
        say(f"\nstream apps, seed {seed}: {brokers.kills} kills of brokers, {again} partitions opened anew: exact")


def _stage(kind: str, brokers: Cluster, folder: Path, seed: int) -> AppRun:
    settings = replace(brokers.settings, topic_prefix=f"{kind}.")
    apply_topics(settings, partitions=PARTITIONS, replication=NODES)
    return AppRun(AppSetup(kind, settings, folder), seed, SIZE)


def _allow(stages: Sequence[AppRun], share: float) -> None:
    """Send up to a share of the records, and wait until each app commits some of it."""
    for stage in stages:
        seen = stage.cursor.total()
        stage.feed.allow(share)

        def moved(stage: AppRun = stage, seen: int = seen) -> bool:
            return stage.cursor.total() > seen or stage.nothing_left()

        until(f"{stage.place.kind} commits beyond {seen}", moved, _WAIT_S)


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_sinks_outlive_their_brokers(protocol: str, tmp_path: Path, say: Say) -> None:
    """Two sinks, four rounds of kills while steps, events and transactions flow: every row is there once."""
    own = ClickHouseOptions(tmp_path / "engine", free_port(), new_password(), new_password())
    with ExitStack() as stack:
        brokers = stack.enter_context(cluster(tmp_path))
        engine = Mortal(clickhouse_service(own), tmp_path / "engine.log")
        stack.callback(engine.stop)
        clickhouse = ClickHouseSettings(own.url, OWNER, Secret(own.owner_password), "runbus")
        apply_topics(brokers.settings, partitions=PARTITIONS, replication=NODES)
        migrate(clickhouse)
        pair = Pair(brokers.brokers[0], engine, brokers.settings, clickhouse)
        stage = stack.enter_context(SoakRun(pair, tmp_path, Group(protocol), Rate(3_000.0), 1))
        processes = [stage.start(f"sink-{number}") for number in range(2)]
        try:
            for nodes, seconds in ROUNDS:
                stage.moves()
                brokers.without(nodes, seconds)
                alive(processes)
            stage.moves()
        except BaseException:
            for process in processes:
                say(f"sink:\n{stage.log(process)[-4000:]}")
            raise
        stage.finish(100_000, processes)
        say(f"\nsink, {protocol}: {brokers.kills} kills of brokers, {stage.traffic.steps:,} steps: exact")


def test_recorders_outlive_their_brokers(tmp_path: Path, say: Say) -> None:
    """Four rounds of kills while agents record: every step is in the log once, in order, and none is dropped."""
    with cluster(tmp_path) as brokers:
        apply_topics(brokers.settings, partitions=PARTITIONS, replication=NODES)
        recorders = [Recorder("run-1", f"agent-{i}", bus=RunBus(), settings=brokers.settings) for i in range(4)]
        steps = 0

        def record(seconds: float) -> None:
            nonlocal steps
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for recorder in recorders:
                    recorder.step(steps, 1.0, False, False, np.full(4, steps, np.float32))
                steps += 1
                time.sleep(0.001)  # an environment that takes its time: the queue must not overflow here

        for nodes, seconds in ROUNDS:
            record(1.0)
            brokers.kill(nodes)
            record(seconds)
            brokers.again(nodes)
        record(1.0)
        for recorder in recorders:
            recorder.close()
        assert all(recorder.flush(_WAIT_S) for recorder in recorders)
        assert [recorder.stats()["dropped"] for recorder in recorders] == [0] * len(recorders)
        wanted = {("run-1", r.agent, r.attempt): list(range(steps)) for r in recorders}
        assert TopicReader(brokers.settings).seqs() == wanted
        say(f"\nrecorder: {brokers.kills} kills of brokers, {steps * len(recorders):,} steps: exact")
