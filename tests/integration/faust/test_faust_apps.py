"""Apps of Faust on the real broker: the example counts right, what fails comes again, what is aborted never comes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch
from runbus.schemas.codec import Codec
from tests.faults.stream_workers import Cursor
from tests.integration.reader.log import ATTEMPT, RUN, Log
from tests.integration.reader.test_reader_events import EPISODE
from tests.support.batches import step_columns
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "steps_per_minute.py"
(SNIPPET,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "faust.md").read_text(encoding="utf-8"), re.DOTALL)
PARTITIONS = 3
AGENTS = 5
BATCHES, SIZE = 24, 50
#: 40 steps a minute
STEP_US = 1_500_000


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    return kafka_settings


@dataclass
class App:
    """A process of a user, and what it has printed."""

    process: subprocess.Popen[bytes]
    log: Path
    group: str
    settings: KafkaSettings
    cursors: list[Cursor] = field(default_factory=list)

    def said(self) -> str:
        """Return everything."""
        return self.log.read_text()

    def takes_all(self, topic: str) -> None:
        """Wait until its group has committed the whole topic; fail if it ends before."""
        cursor = Cursor(self.settings, self.group, topic, PARTITIONS)
        until(f"{self.group} takes {topic}: {self.said()[-2000:]}", lambda: self._alive() and cursor.at_end())
        cursor.close()

    def stop(self) -> None:
        """Stop it; fail unless it ends in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40) == 0, self.said()

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.said()
        return True


@contextmanager
def running(program: str | Path, name: str, settings: KafkaSettings, folder: Path) -> Iterator[App]:
    """Run a file, or a text, as an app."""
    command = [program] if isinstance(program, Path) else ["-c", program]
    environ = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "RUNBUS_TOPIC_PREFIX": settings.topic_prefix}
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **environ}, cwd=folder, stdout=output, stderr=output
        )
    try:
        yield App(process, log, f"{settings.topic_prefix}faust.{name}", settings)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def batch(agent: int, number: int) -> StepBatch:
    """Return one of the batches of an agent; step 0 of each is a reset."""
    seq = np.arange(number * SIZE, (number + 1) * SIZE)
    header = BatchHeader(RUN, f"agent-{agent}", ATTEMPT, number * SIZE, SIZE, 0, ATTEMPT)
    return StepBatch(header, step_columns(seq, ATTEMPT + seq * STEP_US, step=(seq % SIZE).astype("<i4")))


def wanted(numbers: Iterable[int]) -> Counter[tuple[str, int]]:
    """Return the steps of each agent and minute of these batches, by plain loops."""
    found: Counter[tuple[str, int]] = Counter()
    for agent in range(AGENTS):
        for number in numbers:
            for seq in range(number * SIZE, (number + 1) * SIZE):
                if seq % SIZE:
                    found[f"{RUN}/agent-{agent}", (ATTEMPT + seq * STEP_US) // 60_000_000] += 1
    return found


def counted(settings: KafkaSettings) -> Counter[tuple[str, int]]:
    """Return what the example has said of minutes that are over, and what its table has of the open ones."""
    log, name = TopicReader(settings), "faust.steps-per-minute"
    found: Counter[tuple[str, int]] = Counter()
    for message in log.read(f"{name}-counts"):
        said = json.loads(message.value() or b"")
        assert (said["agent"], said["minute"]) not in found, "a minute was over twice"
        found[said["agent"], said["minute"]] = said["steps"]
    newest = {m.key(): json.loads(m.value() or b"") for m in log.read(f"{name}-open-changelog")}
    for key, (_, _, _, minute, steps) in newest.items():
        found[json.loads(key or b""), minute] = steps
    return found


def test_the_example_counts_right_in_a_quiet_run(settings: KafkaSettings, tmp_path: Path) -> None:
    """What was there before it and what comes while it works, poison and repeated batches included."""
    log = Log(settings)
    numbers = range(BATCHES)
    half = numbers[: BATCHES // 2]
    log.batches(*(batch(agent, number) for number in half for agent in range(AGENTS)))
    log.values("steps", [(stream_key(RUN, "agent-0"), b"garbage")])
    log.batches(batch(0, 3))
    with running(EXAMPLE, "steps-per-minute", settings, tmp_path) as app:
        app.takes_all("steps")
        log.batches(*(batch(agent, number) for number in numbers[BATCHES // 2 :] for agent in range(AGENTS)))
        app.takes_all("steps")
        app.stop()
    assert counted(settings) == wanted(numbers)
    assert "cannot be read: neither Avro" in app.said()


FAILS_ONCE = """
from pathlib import Path
from runbus.faust import episodes, new_app, run

app = new_app("fails-once")
incoming = episodes(app)

@app.agent(incoming.topic)
async def show(stream):
    async for event in incoming.events(stream):
        print("episode", event.id, flush=True)
        if event.id == "bad" and not Path("failed").exists():
            Path("failed").touch()
            raise ValueError("the agent fails")

run(app)
"""


def test_a_record_whose_agent_failed_comes_again_and_what_was_aborted_never(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    """The process ends with 1 at a failure, and its successor begins with that record."""
    transactions = Producer({**settings.client_config(), "transactional.id": settings.topic_prefix, "log_level": 0})
    transactions.init_transactions(30)
    for ids, commit in ((["first"], True), (["aborted"], False), (["bad", "last"], True)):
        transactions.begin_transaction()
        for id_ in ids:
            value = Codec().frame("", schema("EpisodeFinalized"), replace(EPISODE, id=id_).encode())
            transactions.produce(f"{settings.topic_prefix}episodes", value, b"key")
        assert transactions.flush(30) == 0
        if commit:
            transactions.commit_transaction(30)
        else:
            transactions.abort_transaction(30)
    with running(FAILS_ONCE, "fails-once", settings, tmp_path) as app:
        assert app.process.wait(60) == 1, app.said()
        assert "the agent fails" in app.said()
    with (
        running(FAILS_ONCE, "fails-once", settings, tmp_path) as app,
        running(SNIPPET, "best-return", settings, tmp_path) as page,
    ):
        until("it shows the last one", lambda: "episode last" in app.said())
        until("the page's app says the best return", lambda: f"{RUN} 2.5" in page.said())
        app.stop()
        page.stop()
    shown = [line.split()[1] for line in app.said().splitlines() if line.startswith("episode ")]
    assert shown[:2] == ["first", "bad"]
    assert shown[-2:] == ["bad", "last"]
    assert "aborted" not in shown


def test_an_app_does_not_start_where_a_topic_is_missing(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """Faust itself would idle without a word."""
    with running(EXAMPLE, "steps-per-minute", kafka_settings, tmp_path) as app:
        assert app.process.wait(60) == 1
    (line,) = app.said().splitlines()
    assert line == (
        f"error: topics missing at {kafka_settings.bootstrap_servers}: {kafka_settings.topic_prefix}steps; run "
        "`runbus topics apply` (RUNBUS_TOPIC_PREFIX is their prefix)"
    )
