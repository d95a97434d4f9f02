"""`runbus cursors reset` moves a user's group to each kind of place, and refuses one that is active."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from runbus.kafka.clients import new_recorder_producer
from runbus.kafka.lone_commit import Commit, GroupActive, commit_alone
from runbus.kafka.model import TopicPartition
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import run_event_key, stream_key
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.cursors.user_groups import PARTITIONS, PROTOCOLS, commit, member, send

pytestmark = [pytest.mark.integration]


def _committed(command: CursorsCommand, name: str) -> dict[int, int]:
    return {at[1]: position["committed"] for at, position in command.positions(name).items()}


@pytest.fixture
def name(settings: KafkaSettings) -> str:
    """Return a group that stands at 4 and 2 of 10 and 5 records."""
    send(settings, {0: 10, 1: 5})
    commit(settings, found := f"{settings.topic_prefix}page", {0: 4, 1: 2})
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_is_moved_once_its_members_are_gone(
    protocol: str, settings: KafkaSettings, command: CursorsCommand, name: str
) -> None:
    """Refused while a member is there, with who it is; taken when it has left; the next member begins there."""
    with member(settings, name, protocol):
        said = command.refused("reset", name, "--to", "beginning", "--yes")
        assert f"{name} has 1 members (page on 127.0.0.1): stop its processes" in said
    assert _committed(command, name) == {0: 4, 1: 2}
    assert command.run("reset", name, "--to", "beginning", "--yes").count("read again") == PARTITIONS
    assert _committed(command, name) == {0: 0, 1: 0}
    with member(settings, name, protocol) as consumer:
        assert {part.offset for part in consumer.committed(consumer.assignment(), 10)} == {0}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_broker_itself_refuses_a_member_that_came_since(protocol: str, settings: KafkaSettings, name: str) -> None:
    """Between the question and the commit a member joins: the commit is refused by the coordinator."""
    place = TopicPartition(f"{settings.topic_prefix}steps", 0)
    with member(settings, name, protocol), pytest.raises(GroupActive, match="says the broker"):
        commit_alone(settings, name, {place: Commit(0)})
    commit_alone(settings, name, {place: Commit(0)})


def test_each_kind_of_place(settings: KafkaSettings, command: CursorsCommand, name: str) -> None:
    """The end, an offset of one partition, a time, the beginning; a dry run changes nothing."""
    plan = json.loads(command.run("reset", name, "--to", "end", "--dry-run", "--json"))
    assert [(move["before"], move["after"]) for move in plan] == [(4, 10), (2, 5)]
    assert _committed(command, name) == {0: 4, 1: 2}
    command.run("reset", name, "--to", "end", "--yes")
    assert _committed(command, name) == {0: 10, 1: 5}
    command.run("reset", name, "--to", "offset", "7", "--topic", "steps", "--partition", "0", "--yes")
    assert _committed(command, name) == {0: 7, 1: 5}
    between = _next_millisecond()
    send(settings, {0: 3})
    command.run("reset", name, "--to", "time", between, "--yes")
    assert _committed(command, name) == {0: 10, 1: 5}
    command.run("reset", name, "--to", "time", "2001-01-01", "--topic", "steps", "--yes")
    assert _committed(command, name) == {0: 0, 1: 0}


def _next_millisecond() -> str:
    """Return a time behind everything that was appended so far, once it is there."""
    begin = time.time_ns() // 1_000_000 + 1
    while time.time_ns() // 1_000_000 <= begin:
        pass
    return datetime.fromtimestamp(begin / 1000, UTC).isoformat()


def test_a_run_is_found_in_the_partitions_that_hold_it(
    settings: KafkaSettings, command: CursorsCommand, name: str
) -> None:
    """The partition of its agent moves to its first record, the other stays; a run that is not there is told."""
    key, now_us = stream_key("mine", "a"), time.time_ns() // 1000
    partition = partition_of(key, PARTITIONS)
    producer = new_recorder_producer(settings, {})
    for topic, of in (("runs", run_event_key("mine", "a", now_us)), ("steps", key), ("steps", key)):
        producer.produce(settings.topic_prefix + topic, key=of, value=b"not read here")
    assert producer.flush(30) == 0
    before = _committed(command, name)
    command.run("reset", name, "--to", "run", "mine", "--yes")
    assert _committed(command, name) == before | {partition: {0: 10, 1: 5}[partition]}
    assert "the log has no run 'other'" in command.refused("reset", name, "--to", "run", "other", "--yes")


def test_a_group_is_given_its_first_position(settings: KafkaSettings, command: CursorsCommand, name: str) -> None:
    """A group that nobody has seen gets a position in a topic that is named."""
    new = f"{name}-2"
    assert "no group" in command.refused("reset", new, "--to", "end", "--yes")
    command.run("reset", new, "--to", "end", "--topic", "steps", "--yes")
    assert _committed(command, new) == {0: 10, 1: 5}


MISTAKES = [
    ((), 2, "say where to: --to beginning, end, offset N, time ISO or run RUN"),
    (("--to", "middle"), 2, "RUNBUS_CURSORS_TO='middle' is not one of"),
    (("7", "--to", "offset"), 2, "add --topic and --partition"),
    (("--to", "end"), 2, "there is nobody to ask: add --yes, or look with --dry-run"),
    (("99", "--to", "offset", "--topic", "steps", "--partition", "0"), 1, "has offsets 0 to 10: 99 is not one"),
    (("0", "--to", "offset", "--topic", "steps", "--partition", "9"), 1, "reads no such partition"),
]


def test_each_mistake_is_one_sentence(command: CursorsCommand, name: str) -> None:
    """What is wrong and what to give, with the exit code of wrong usage or of a refusal; nothing has moved."""
    for arguments, code, said in MISTAKES:
        assert said in " ".join(command.refused("reset", name, *arguments, code=code).split())
    assert _committed(command, name) == {0: 4, 1: 2}


@pytest.mark.parametrize(("answer", "code", "after"), [("y", 0, {0: 0, 1: 0}), ("n", 1, {0: 4, 1: 2})])
def test_a_terminal_is_asked(answer: str, code: int, after: dict[int, int], command: CursorsCommand, name: str) -> None:
    """What would change is shown first; only a yes does it."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runbus.cli", "cursors", "reset", name, "--to", "beginning"],
        env={**os.environ, **command.env},
        cwd=command.folder,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(master, f"{answer}\n".encode())
    output, asked = process.communicate(timeout=120)
    os.close(master)
    os.close(slave)
    assert (process.returncode, "4 read again" in output, f"move {name}?" in asked) == (code, True, True), (
        output + asked
    )
    assert _committed(command, name) == after
