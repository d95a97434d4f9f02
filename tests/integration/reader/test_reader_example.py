"""examples/follow_live_metrics.py, killed and started again: the file has every event of the log, in order."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from tests.integration.reader.log import Log
from tests.integration.reader.test_reader_events import METRICS
from tests.support.waiting import until

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples" / "follow_live_metrics.py"
AGENTS = 5


def send(log: Log, steps: int) -> None:
    """Append one event of each agent."""
    values = []
    for number in range(AGENTS):
        event = replace(METRICS, agent_id=f"agent-{number}", steps=steps)
        values.append((stream_key("run-1", event.agent_id), Codec().frame("", schema("LiveMetrics"), event.encode())))
    log.values("live-metrics", values)


def lines(file: Path) -> list[dict[str, str]]:
    """Return the whole lines of the file."""
    text = file.read_text() if file.exists() else ""
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))


def test_it_is_killed_and_goes_on_without_a_gap(settings: KafkaSettings, log: Log, tmp_path: Path) -> None:
    """Five SIGKILLs while events come: no event is missing, each stream's steps only grow but for what repeats."""
    file = tmp_path / "live.csv"
    environ = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
    }
    moments = random.Random(5)
    steps = 0

    def send_more() -> bool:
        nonlocal steps
        send(log, steps)
        steps += 1
        return True

    for _ in range(5):
        process = subprocess.Popen([sys.executable, EXAMPLE, file], env=environ)
        before = len(lines(file))
        until("it writes", lambda before=before: send_more() and len(lines(file)) > before)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.2))  # the moment of death, nothing is waited for
        process.kill()
        process.wait(20)
    last = subprocess.Popen([sys.executable, EXAMPLE, file], env=environ)
    before = len(lines(file))
    until("it goes on", lambda: send_more() and len(lines(file)) > before)

    def places() -> set[tuple[str, str]]:
        return {(line["partition"], line["offset"]) for line in lines(file)}

    try:
        until("every event is there", lambda: len(places()) == AGENTS * steps)
        last.send_signal(signal.SIGINT)
        assert last.wait(20) == 0  # Ctrl-C ends it without a traceback
    finally:
        last.kill()
    for number in range(AGENTS):
        mine = [int(line["steps"]) for line in lines(file) if line["agent"] == f"agent-{number}"]
        assert sorted(set(mine)) == list(range(steps))
        assert len(mine) - steps <= 5 * 20  # what was written and not committed, at most, of each death
