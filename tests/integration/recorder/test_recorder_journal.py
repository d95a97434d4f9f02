"""Agents with a journal are killed by SIGKILL: what they had recorded is in the log once, and their streams end."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.recorder.journal.folder import journals, orphans
from runbus.recorder.journal.recovery import CRASHED, Delivery, deliver
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


def test_sigkill_loses_nothing_of_the_journal(
    settings: KafkaSettings, topic_log: TopicReader, agent: Callable[..., Any], tmp_path: Path
) -> None:
    """Mode step: every step whose call returned is in the log, once. Mode batch: but for one batch, 256 steps at most."""
    moments = random.Random(7)
    for mode in ("step", "batch"):
        for kill in range(3):
            name = f"{mode}-{kill}"
            ledger, folder = tmp_path / f"{name}.ledger", tmp_path / name
            process = agent(
                settings,
                AGENT,
                str(ledger),
                name,
                RUNBUS_RECORDER_JOURNAL=str(folder),
                RUNBUS_RECORDER_JOURNAL_MODE=mode,
            )
            until("steps are recorded", lambda: ledger.exists() and ledger.stat().st_size > 50)
            time.sleep(moments.random() * 0.5)  # a random moment to die at, not a wait for something
            process.kill()
            process.wait()
            recorded = ledger.stat().st_size
            (path,) = orphans(folder)
            delivery = deliver(path, CourierSettings(settings))
            assert delivery.done, delivery
            assert not list(journals(folder))
            seqs = next(seqs for (_, agent_id, _), seqs in topic_log.seqs().items() if agent_id == name)
            print(name, recorded, len(seqs), delivery)
            assert seqs == list(range(len(seqs)))
            assert recorded - (0 if mode == "step" else 256) <= len(seqs) <= recorded + 1
    ended = [event for event in topic_log.runs() if event.kind == "FINISHED"]
    assert [(event.outcome, event.error) for event in ended] == [("interrupted", CRASHED)] * 6
    assert os.environ.get("RUNBUS_RECORDER_JOURNAL") is None
