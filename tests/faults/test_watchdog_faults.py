"""Each state by a real fault on a real stack, and nothing of it once the fault is over.

A process that gets no processor for seconds is silent, and that is said: so nothing else may run beside these tests.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from runbus.reader import Reader
from tests.integration.watchdog.conftest import running, said
from tests.integration.watchdog.installation import Installation
from tests.integration.watchdog.reports import Document, Reports, alarms, findings, state_of
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(600)]
__all__ = ["running", "said"]
ROOT = Path(__file__).parents[2]
SINK = "group runbus.sink"


def is_well(document: Document) -> bool:
    """Return whether nothing is wrong."""
    return document["state"] == "OK" and bool(document["groups"])


@contextmanager
def agent(running: Installation, run: str) -> Iterator[subprocess.Popen[str]]:
    """Yield an agent that records; it is ended in order, if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.watchdog.agent", run],
        env={**running.command.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "recording\n"
        yield process
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_a_process_that_is_killed(running: Installation, said: Reports) -> None:
    """It fell silent without a word; its successor takes over, and the finding is gone with it."""
    running.kill("sink")
    said.until("it stopped", lambda document: state_of(document, "sink-") == "STOP")
    said.until("its successor works", is_well)


def test_a_store_that_does_not_answer(running: Installation, said: Reports) -> None:
    """The sink lives and does not move: it stalls, the canary is late on that way only, and both become alarms."""
    with running.stopped("clickhouse"):
        said.until("the sink stalls", lambda document: state_of(document, SINK) == "STALL")
        said.until("the canary is late", lambda document: ("canary by sink", "late") in findings(document))
        late = said.until("an alarm", lambda document: document["alarms"] > 0)
        assert late > 0
        assert {subject for document in said.seen for subject, _ in findings(document)} == {SINK, "canary by sink"}
    said.until("everything is stored", is_well)


def test_a_disk_that_is_full(running: Installation, said: Reports) -> None:
    """What the sink says of it is part of the finding."""
    if running.disk is None:
        pytest.skip("cannot mount a file system here")
    filler = running.disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        said.until(
            "the sink stalls, and says why",
            lambda document: any("capacity" in f["text"] for f in findings(document, SINK).values()),
        )
        assert state_of(said.seen[-1], SINK) == "STALL"
    finally:
        filler.unlink()
    said.until("everything is stored", is_well)


def test_a_partition_without_an_owner_and_a_rewind(running: Installation, said: Reports) -> None:
    """Who ended in order is missed after a while; who is moved back has rewound until it is there again."""
    running.end("sink")
    said.until("nobody reads", lambda document: (SINK, "no owner") in findings(document))
    assert state_of(said.seen[-1], "sink-") == "OK"  # the process said its end
    assert not alarms(said.seen)
    said.until("it is an alarm", lambda document: document["alarms"] > 0)
    assert running.command.run("cursors", "reset", "runbus.sink", "--to", "beginning", "--yes").returncode == 0
    said.until("it went back", lambda document: state_of(document, SINK) == "REWIND")
    assert findings(said.seen[-1])[SINK, "rewind"]["alarm"]
    running.begin("sink")
    said.until("it is there again", is_well)


def test_retention_is_announced(running: Installation, said: Reports) -> None:
    """A sink that is away and a topic that keeps ten seconds: said before a record is gone."""
    running.end("sink")
    try:
        keep(running, "heartbeats", 20_000)
        said.until("danger", lambda document: (SINK, "retention") in findings(document))
        assert findings(said.seen[-1])[SINK, "retention"]["alarm"]
        assert (SINK, "deleted") not in findings(said.seen[-1])
    finally:
        keep(running, "heartbeats", 86_400_000)
        running.begin("sink")
    said.until("it caught up", is_well)


def keep(running: Installation, topic: str, milliseconds: int) -> None:
    """Set how long a topic keeps its records."""
    change = ConfigEntry("retention.ms", str(milliseconds), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, f"runbus.{topic}", incremental_configs=[change])
    admin = AdminClient({**running.kafka.client_config()})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(15)


def test_a_recorder_that_is_lost(running: Installation, said: Reports) -> None:
    """One that was killed leaves a stream without an end; one that ended in order is no finding."""
    with agent(running, "ended"):
        said.until("it is known", lambda document: document["processes"].get("recorder", 0) == 2)
    with agent(running, "killed") as process:
        said.until("it is known", lambda document: document["processes"].get("recorder", 0) == 2)
        process.kill()
        said.until("it is lost", lambda document: any("killed/agent" in f["text"] for f in document["findings"]))
    assert not [f for document in said.seen for f in document["findings"] if "ended/agent" in f["text"]]
    said.until("it is an alarm", lambda document: document["alarms"] > 0)
    with agent(running, "killed"):
        said.until("the agent records again", is_well)


def test_a_group_of_a_user_is_shown(running: Installation, said: Reports) -> None:
    """A reader that committed, and is gone: its position is known, and it is no alarm."""
    with agent(running, "read"), Reader("report", topics="steps", run="read", settings=running.kafka) as reader:
        assert reader.poll(60.0) is not None
        reader.commit()
    name = "runbus.reader.report"
    said.until("it is shown", lambda document: name in [group["group"] for group in document["groups"]])
    assert not alarms(said.seen)


def test_without_a_watchdog_the_command_says_so(running: Installation, said: Reports) -> None:
    """Nobody judges: that is one sentence and exit code 1; a new one knows everything at once."""
    running.end("watchdog")
    done = running.command.run("watch")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no watchdog has said anything for 5 s: start `runbus watchdog`" in done.stderr
    running.begin("watchdog")
    said.until("all is well", is_well)
    assert not alarms(said.seen)


def test_a_broker_that_does_not_answer_is_said_without_it(running: Installation, said: Reports) -> None:
    """In the log of the watchdog: the topic cannot carry it; once it is back nobody is blamed for the silence."""
    log = running.stack.supervisor.log_path("watchdog")
    before = len(log.read_text())
    with running.stopped("kafka"):
        until("it is an alarm", lambda: "watchdog.alarm STOP Kafka" in log.read_text()[before:])
        assert running.command.run("watch").returncode == 1
    first = len(said.seen)
    said.until("all is well again", lambda document: not [f for f in document["findings"] if f["subject"] != "Kafka"])
    assert {f["subject"] for f in alarms(said.seen[first:])} <= {"Kafka"}
    assert "Assertion" not in log.read_text()[before:]
