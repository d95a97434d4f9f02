"""After any reset of the sink's group each step is stored once, and the audit of every offset is exact."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbus.clickhouse.tables import STEPS
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.lone_commit import Commit, commit_alone
from runbus.kafka.model import TopicPartition
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import run_event_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import SINGLE_OBJECT_SIZE, Fingerprint
from runbus.sink.container import Container
from runbus.sink.store import ClickHouseStore
from tests.integration.audit.audit_setup import PARTITIONS, AuditSetup
from tests.integration.audit.conftest import scene
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.cursors.user_groups import PROTOCOLS

__all__ = ["scene"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]

RECORDS = 40  # of each partition, in each of two halves


@pytest.fixture
def command(scene: AuditSetup, tmp_path: Path) -> Iterator[CursorsCommand]:
    """Yield the command, for a log of two runs that a sink has stored and left."""
    with scene.sink(range_steps="64"):
        _fill(scene)
        scene.feed.send("steps", b"poison", b"hello, world", partition=0)
    yield CursorsCommand(scene.sinks.env, tmp_path)
    _is_exact(scene)


def _fill(scene: AuditSetup) -> None:
    for partition in range(PARTITIONS):
        scene.records(RECORDS, partition)


def _reset(scene: AuditSetup, command: CursorsCommand, *where: str) -> dict[tuple[str, int], tuple[int, int]]:
    """Move the sink; return (before, after) of each partition of steps that moved."""
    moves = command.json("reset", scene.installation.group, "--to", *where, "--yes")
    steps = scene.feed.settings.topic_prefix + "steps"
    return {(m["topic"], m["partition"]): (m["before"], m["after"]) for m in moves if m["topic"] == steps}


def _is_exact(scene: AuditSetup) -> None:
    """Fail unless each step is there once, with its values, and every offset of every topic is as the log says."""
    scene.tables.check(scene.feed)
    result, findings = scene.audit()
    assert result.total.sound, findings
    letters = "SELECT count() FROM dead_letters_latest WHERE topic = {topic:String}"
    assert scene.tables.one(letters, topic=f"{scene.feed.settings.topic_prefix}steps") == 1


@pytest.mark.parametrize("protocol", [PROTOCOLS[0], pytest.param(PROTOCOLS[1], marks=pytest.mark.long)])
def test_from_the_beginning(protocol: str, scene: AuditSetup, command: CursorsCommand) -> None:
    """Rows are missing here and there, and more steps come: what is there is counted, and only the rest is stored."""
    scene.delete("steps", f"run_id = '{scene.feed.run}' AND seq BETWEEN 20 AND 90")
    assert {after for _, after in _reset(scene, command, "beginning").values()} == {0}
    with scene.sink(group_protocol=protocol, range_steps="100"):
        _fill(scene)
    assert "sink.overlap" in scene.sinks.log()


@pytest.mark.long  # short: to a run
def test_to_a_time(scene: AuditSetup, command: CursorsCommand) -> None:
    """From the middle of what is stored."""
    begin = time.time_ns() // 1_000_000 + 1
    while time.time_ns() // 1_000_000 <= begin:
        pass
    with scene.sink():
        _fill(scene)
    moved = _reset(scene, command, "time", datetime.fromtimestamp(begin / 1000, UTC).isoformat())
    assert {after for _, after in moved.values()} == {RECORDS, RECORDS + 1}  # one partition has the poison too
    with scene.sink(range_steps="100"):
        _fill(scene)


def test_to_a_run(scene: AuditSetup, command: CursorsCommand) -> None:
    """The partitions of its agents go to its first record; the others stay."""
    key = run_event_key(scene.feed.run, "agent-0", time.time_ns() // 1000)
    scene.feed.send("runs", key, b"an event that nobody can read")
    scene.feed.flush()
    with scene.sink(dead_letter_run="0", dead_letter_share="1"):
        pass
    moved = _reset(scene, command, "run", scene.feed.run)
    assert len(moved) == 1
    with scene.sink(dead_letter_run="0", dead_letter_share="1"):
        _fill(scene)


def test_to_the_end_and_back(scene: AuditSetup, command: CursorsCommand) -> None:
    """What was skipped is missing, says the audit; a reset back stores it, once."""
    _fill(scene)
    _reset(scene, command, "end")
    with scene.sink():
        _fill(scene)
    result, _ = scene.audit(STEPS)
    assert not result.total.sound
    _reset(scene, command, "beginning")
    with scene.sink(range_steps="100"):
        pass


def test_an_announced_range_is_not_forgotten(scene: AuditSetup, command: CursorsCommand) -> None:
    """A sink died behind its announcement, so its insert may still come: first it is finished, then one may reset."""
    at, hi = TopicPartition(f"{scene.feed.settings.topic_prefix}steps", 0), RECORDS + 5
    _fill(scene)
    before = command.positions(scene.installation.group)[at]
    announced = Intent(before["topic_id"], hi, "salt")
    commit_alone(scene.feed.settings, scene.installation.group, {at: Commit(before["committed"], announced.encode())})
    said = command.refused("reset", scene.installation.group, "--to", "beginning", "--yes")
    assert f"the sink announced {at} {before['committed']}-{hi} and did not say that it is stored: start it" in said
    assert f"announced {before['committed']}-{hi}" in command.run("show", scene.installation.group)
    with scene.sink():
        pass
    _late_insert(scene, at, announced, before["committed"])
    _reset(scene, command, "beginning")
    with scene.sink():
        pass


def _late_insert(scene: AuditSetup, at: TopicPartition, announced: Intent, lo: int) -> None:
    """Let the insert of the sink that died arrive now, under the token of its range."""
    named = Fingerprint(schema("StepBatch").fingerprint)
    token = f"{announced.topic_id}:{at.partition}:{lo}-{announced.hi}:{announced.salt}/{named}"
    with open_topic(scene.feed.settings, "steps", "tests") as log:
        values = [
            (m.offset() or 0, m.value() or b"", SINGLE_OBJECT_SIZE)
            for m in log.records()
            if m.partition() == at.partition and lo <= (m.offset() or 0) <= announced.hi
        ]
    container = Container(schema("StepBatch"), announced.topic_id, at.partition, values)
    asyncio.run(ClickHouseStore(scene.tables.client, "group").insert("steps_landing", container, token))


def test_what_forgetting_it_would_do(scene: AuditSetup, command: CursorsCommand) -> None:
    """Another tool moves the group over an announced range, and the late insert doubles it: why reset refuses."""
    at, hi = TopicPartition(f"{scene.feed.settings.topic_prefix}steps", 0), RECORDS + 5
    _fill(scene)
    before = command.positions(scene.installation.group)[at]
    announced = Intent(before["topic_id"], hi, "salt")
    commit_alone(scene.feed.settings, scene.installation.group, {at: Commit(0)})
    with scene.sink():
        pass
    _late_insert(scene, at, announced, before["committed"])
    result, _ = scene.audit(STEPS)
    assert not result.total.sound
    doubled = range(before["committed"], hi + 1)
    scene.delete("steps", f"kafka_partition = 0 AND kafka_offset BETWEEN {doubled.start} AND {hi}")
    scene.store(STEPS, 0, *doubled)
