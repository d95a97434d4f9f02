"""Agents with a journal are killed by SIGKILL: what they had recorded is in the log once, and their streams end."""

import json
import logging
import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.recorder.journal.folder import journals, orphans
from runbus.recorder.journal.recovery import CRASHED, deliver
from runbus.recorder.settings import CourierSettings
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

#: records about 1,000 steps a second; notes each step in a ledger, the environment's own, once its call has returned
AGENT = """
import os, sys, time
import numpy as np
from runbus.recorder import Recorder

ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
recorder = Recorder("run-1", sys.argv[2])
recorder.reset(np.zeros(4, np.float32), seed=7)
os.write(ledger, b".")
i = 0
while True:
    i += 1
    recorder.step(i % 2, 1.0, i % 50 == 0, False, np.full(4, i, np.float32))
    os.write(ledger, b".")
    if i % 50 == 0:
        recorder.reset(np.zeros(4, np.float32))
        os.write(ledger, b".")
    time.sleep(0.001)
"""


class Killed:
    """An agent that runs until it is killed."""

    def __init__(
        self, agent: Callable[..., Popen[str]], settings: KafkaSettings, folder: Path, name: str, mode: str
    ) -> None:
        self.name = name
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._ledger = folder.parent / f"{folder.name}-{name}.ledger"
        env = {"RUNBUS_RECORDER_JOURNAL": str(folder), "RUNBUS_RECORDER_JOURNAL_MODE": mode} if mode else {}
        self._process = agent(settings, AGENT, str(self._ledger), name, **env)

    @property
    def recorded(self) -> int:
        """Steps whose call has returned."""
        return self._ledger.stat().st_size if self._ledger.exists() else 0

    def has_recorded(self, steps: int) -> bool:
        """Return whether it has recorded more than so many."""
        return self.recorded > steps

    def kill(self) -> None:
        """Kill it, by SIGKILL."""
        self._process.kill()
        self._process.wait()


def kill_in_turn(
    settings: KafkaSettings, log: TopicReader, agent: Callable[..., Any], folder: Path, kills: dict[str, int]
) -> dict[str, list[int]]:
    """Kill agents at random moments, deliver their journals; return how many recorded steps each lost, by mode."""
    moments = random.Random(7)
    agents = [
        Killed(agent, settings, folder / mode, f"{mode}-{n}", mode)
        for mode, count in kills.items()
        for n in range(count)
    ]
    for one in agents:
        until("steps are recorded", partial(one.has_recorded, 50))
        time.sleep(moments.random() * 0.5)  # a random moment to die at, not a wait for something
        one.kill()
    for mode in filter(None, kills):
        for path in list(orphans(folder / mode)):
            delivery = deliver(path, CourierSettings(settings))
            assert delivery.done, delivery
        assert not list(journals(folder / mode))
    lost: dict[str, list[int]] = {mode: [] for mode in kills}
    found = {agent_id: seqs for (_, agent_id, _), seqs in log.seqs().items()}
    for one in agents:
        seqs = found.get(one.name, [])
        assert seqs == list(range(len(seqs))), "a gap, or a step twice"
        lost[one.name.rpartition("-")[0]].append(one.recorded - len(seqs))
    return lost


def check(lost: dict[str, list[int]]) -> None:
    """Check what each mode promises; a step whose call had not returned may be there."""
    assert all(-1 <= steps <= 0 for steps in lost["step"]), lost
    assert all(-1 <= steps <= 256 for steps in lost["batch"]), lost


def test_sigkill_loses_nothing_of_the_journal(
    settings: KafkaSettings, topic_log: TopicReader, agent: Callable[..., Any], tmp_path: Path
) -> None:
    """Mode step: every step whose call returned is in the log, once; mode batch: but for one batch. Streams end."""
    check(kill_in_turn(settings, topic_log, agent, tmp_path, {"step": 2, "batch": 2}))
    ended = [event for event in topic_log.runs() if event.kind == "FINISHED"]
    assert [(event.outcome, event.error) for event in ended] == [("interrupted", CRASHED)] * 4
    for event in ended:
        assert event.dropped == 0
        assert event.episodes == 1 + (event.produced - 1) // 51


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_fifty_sigkills_in_each_mode(
    settings: KafkaSettings, topic_log: TopicReader, agent: Callable[..., Any], tmp_path: Path
) -> None:
    """Twenty at a time: nothing lost in mode step, one batch at most in mode batch, nothing twice."""
    for turn in range(5):
        check(kill_in_turn(settings, topic_log, agent, tmp_path / str(turn), {"step": 10, "batch": 10}))


def test_an_outage_longer_than_the_queue_loses_nothing(
    kafka_settings: KafkaSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The topics are not there for ten times what the queue holds: all arrives in order once they are."""
    monkeypatch.setenv("RUNBUS_RECORDER_QUEUE_MB", "1")
    recorder = Recorder("run-1", "a", bus=RunBus(), settings=kafka_settings, journal=tmp_path)
    for n in range(60_000):
        recorder.step(n % 2, 1.0, False, False, np.full(4, n, np.float32))
    stats = recorder.stats()
    assert (stats["produced"], stats["delivered"], stats["dropped"]) == (60_000, 0, 0)
    apply_topics(kafka_settings, partitions=2)
    for n in range(60_000, 70_000):  # beside what comes back
        recorder.step(n % 2, 1.0, False, False, np.full(4, n, np.float32))
    recorder.close()
    assert recorder.flush(60)
    until("its journal is removed", lambda: not list(journals(tmp_path)))
    assert TopicReader(kafka_settings).seqs() == {("run-1", "a", recorder.attempt): list(range(70_000))}
    assert not [r for r in caplog.records if "queue" in r.getMessage() and "full" in r.getMessage()]


def test_a_recorder_delivers_what_dead_ones_of_its_folder_left(
    settings: KafkaSettings, topic_log: TopicReader, agent: Callable[..., Any], tmp_path: Path, caplog: Any
) -> None:
    """Beside its own stream; the journal of a living process is left alone, and so is that of another machine."""
    dead, living = (Killed(agent, settings, tmp_path / "j", name, "step") for name in ("dead", "living"))
    until("both record", lambda: dead.has_recorded(50) and living.has_recorded(50))
    dead.kill()
    with caplog.at_level(logging.WARNING):
        recorder = Recorder("run-1", "next", bus=RunBus(), settings=settings, journal=tmp_path / "j")
        recorder.step(0, 1.0, False, False, 0.5)
        until("it says what was left", lambda: "was left by a process that died" in caplog.text)
    assert {path.name.split("-")[-2] for path in journals(tmp_path / "j")} == {
        str(living._process.pid),
        str(os.getpid()),
    }
    journal = recorder.stats()["journal"]
    assert isinstance(journal, dict)
    assert journal["orphans"] == 0
    recorder.close()
    assert recorder.flush(30)
    assert (
        len(topic_log.seqs()["run-1", "dead", next(a for _, n, a in topic_log.seqs() if n == "dead")]) >= dead.recorded
    )
    living.kill()


def test_the_command_lists_checks_and_flushes(
    settings: KafkaSettings, topic_log: TopicReader, agent: Callable[..., Any], tmp_path: Path, runbus: Any
) -> None:
    """Beside a running owner ls and check read, and flush leaves it; once it is dead, flush delivers it."""
    folder = str(tmp_path / "j")
    one = Killed(agent, settings, tmp_path / "j", "a", "step")
    until("it records", partial(one.has_recorded, 50))
    (said,) = json.loads(runbus(settings, "journal", "ls", folder, "--json").stdout)
    assert (said["owned"], said["finished"], said["stream"]["agent_id"]) == (True, False, "a")
    assert runbus(settings, "journal", "check", folder).returncode == 0
    assert json.loads(runbus(settings, "journal", "flush", folder, "--json").stdout) == []
    one.kill()
    flushed = runbus(settings, "journal", "flush", folder)
    assert flushed.returncode == 0, flushed.stderr
    assert "1 journals delivered, 0 left" in flushed.stdout
    assert json.loads(runbus(settings, "journal", "ls", folder, "--json").stdout) == []
    ((_, seqs),) = topic_log.seqs().items()
    assert seqs == list(range(len(seqs)))
    assert len(seqs) >= one.recorded
    assert runbus(settings, "journal", "ls", str(tmp_path / "nowhere")).returncode == 1
