"""The broker dies, is not there, or is the wrong one: the loop goes on, and the counts say what happened."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import RunningProcess, start
from runbus.recorder import Recorder, RunBus
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def test_sigkill_of_the_broker_loses_and_repeats_nothing(
    broker: tuple[KafkaOptions, list[RunningProcess]],
    tmp_path: Path,
    read_log: Callable[[KafkaSettings], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Killed and restarted while steps flow: every step is in the log once, in order, and the outage is said once."""
    options, started = broker
    settings = KafkaSettings(bootstrap_servers=options.bootstrap_servers)
    apply_topics(settings, partitions=2)
    recorders = [Recorder("run-1", f"agent-{i}", bus=RunBus(), settings=settings) for i in range(2)]
    steps = 0

    def record(seconds: float) -> None:
        nonlocal steps
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for recorder in recorders:
                recorder.step(steps, 1.0, False, False, np.full(4, steps, np.float32))
            steps += 1
            if steps % 100 == 0:
                time.sleep(0.002)  # an environment that takes its time: the queue must not overflow here

    record(0.5)
    # a producer that has never heard of a topic cannot tell an outage from a topic that is not there
    until("heartbeats are in the log", lambda: len(read_log(settings).heartbeats()) >= len(recorders))
    record(0.1)
    started[-1].kill()
    record(1.0)
    started.append(start(kafka_service(options), tmp_path / "kafka.log"))
    record(0.5)
    for recorder in recorders:
        recorder.close()
    assert all(recorder.flush(60) for recorder in recorders)

    seqs = read_log(settings).seqs()
    assert seqs == {("run-1", r.agent, r.attempt): list(range(steps)) for r in recorders}
    assert [r.stats()["dropped"] for r in recorders] == [0, 0]
    down = [r.getMessage() for r in caplog.records if "no Kafka broker answers at" in r.getMessage()]
    back = [r.getMessage() for r in caplog.records if "is back after" in r.getMessage()]
    assert (len(down), len(back)) == (len(recorders), len(recorders))
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 2 * len(recorders)


def test_without_a_broker_memory_stays_bounded_and_drops_are_counted(agent: Callable[..., Any]) -> None:
    """Far more steps than the queue holds: the loop goes on, memory is flat, produced = dropped + waiting."""
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    process = agent(
        nowhere,
        """
        import json, os
        from pathlib import Path
        import numpy as np
        from runbus.recorder import Recorder

        recorder = Recorder("run-1")
        observation = np.zeros(64, np.float32)

        def record(count):
            for i in range(count):
                recorder.step(i, 1.0, False, False, observation)
            return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        before = record(100_000)  # 4 MB hold about 9,000 of these
        after = record(200_000)
        recorder.flush(3)  # it cannot be; time enough to notice that no broker answers
        recorder.close()
        queue = recorder.bus.stats()["kafka"].as_dict()
        print(json.dumps({"growth": after - before, "stats": recorder.stats(), "queue": queue}))
        """,
        RUNBUS_RECORDER_QUEUE_MB="4",
        RUNBUS_RECORDER_FLUSH_SECONDS="0",
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = json.loads(out)
    stats, queue = found["stats"], found["queue"]
    assert found["growth"] < 4 * 1024 * 1024
    assert (stats["produced"], stats["delivered"]) == (300_000, 0)
    assert queue["waiting_bytes"] <= 4 * 1024 * 1024
    assert queue["accepted_events"] == 300_000
    assert queue["accepted_events"] == sum(queue[f"{what}_events"] for what in ("dropped", "delivered", "waiting"))
    assert stats["dropped"] == queue["dropped_events"] > 250_000
    full, down, left = sorted(err.splitlines(), key=lambda line: ("is full" not in line, "no Kafka" not in line))
    assert "the queue of 4 MiB is full" in full
    assert f"no Kafka broker answers at {nowhere.bootstrap_servers}" in down
    assert "`runbus up` starts a local one" in down
    assert f"{300_000 - stats['dropped']} steps or values were not delivered" in left


def test_a_slow_start_of_the_broker_delivers_what_waited(
    tmp_path: Path, read_log: Callable[[KafkaSettings], Any]
) -> None:
    """Steps recorded before the broker is there arrive, from the first one."""
    options = KafkaOptions(tmp_path / "kafka", free_port(), free_port(), cache())
    settings = KafkaSettings(bootstrap_servers=options.bootstrap_servers)
    recorder = Recorder("run-1", bus=RunBus(), settings=settings)
    for i in range(1000):
        recorder.step(i, 1.0, False, False, 0.5)
    recorder.close()
    assert not recorder.flush(0.5)
    running = start(kafka_service(options), tmp_path / "kafka.log")
    try:
        apply_topics(settings, partitions=1)
        assert recorder.flush(30)
        assert read_log(settings).seqs() == {("run-1", "agent-0", recorder.attempt): list(range(1000))}
    finally:
        running.stop()
