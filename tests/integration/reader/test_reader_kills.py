"""SIGKILL at random moments, with commits after processing: nothing is missing, only what was not committed repeats."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runbus.kafka.settings import KafkaSettings
from tests.integration.reader.traffic import Traffic
from tests.support.waiting import until

pytestmark = pytest.mark.integration

#: Processes events (a line each in a file) and commits after every few of them; says what it is about to commit.
CONSUMER = """
    import json, os, sys
    from runbus.reader import Reader
    out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    def say(**line):
        os.write(out, json.dumps(line).encode() + b"\\n")
    say(begin=1)
    with Reader("killed", instance="0") as reader:
        for number, event in enumerate(reader, 1):
            say(at=[event.at.partition, event.at.offset], agent=event.agent_id, first=event.first_seq,
                gap=event.gap, dropped=event.newly_dropped)
            if number % 7 == 0:
                say(try_commit={p.partition: o for p, o in reader.positions.items()})
                reader.commit()
                say(committed=1)
"""


class Life(NamedTuple):
    """What one process did between its start and its death.

    Attributes:
        events: in order.
        cursors: partition -> the offsets that the cursor may have at its death: the last that was committed, and one
            whose commit was under way.
    """

    events: list[dict[str, Any]]
    cursors: dict[int, set[int]]


def lives(file: Path) -> list[Life]:
    """Return what the processes did, one after the other."""
    found: list[Life] = []
    tried: dict[int, int] = {}
    for line in map(json.loads, file.read_text().splitlines()):
        if "begin" in line:
            before = found[-1].cursors if found else {p: {0} for p in range(3)}
            found.append(Life([], {p: set(offsets) for p, offsets in before.items()}))
        elif "at" in line:
            found[-1].events.append(line)
        elif "try_commit" in line:
            tried = {int(p): offset for p, offset in line["try_commit"].items()}
            for partition, offset in tried.items():
                found[-1].cursors[partition].add(offset)
        else:
            found[-1].cursors.update({p: {offset} for p, offset in tried.items()})
    return found


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_sigkill_at_any_moment_loses_nothing_and_repeats_what_was_not_committed(
    settings: KafkaSettings, tmp_path: Path, script: Callable[..., subprocess.Popen[str]], kills: int
) -> None:
    """Every record is processed; each life begins at the cursor; gaps and drops are told as they were made."""
    moments = random.Random(kills)
    file = tmp_path / "events"
    file.touch()
    traffic = Traffic(settings, seed=kills)
    traffic.start()
    for _ in range(kills):
        before = file.stat().st_size
        process = script(CONSUMER, str(file))
        until("it has begun", lambda before=before: file.stat().st_size > before)  # type: ignore[misc]
        time.sleep(moments.uniform(0.0, 1.0))  # the moment of death, nothing is waited for
        process.kill()
        process.wait(20)
    traffic.stop()
    fresh = {place for place, sent in traffic.sent.items() if not sent.repeated}
    script(CONSUMER, str(file))
    until("everything is processed", lambda: fresh <= {tuple(e["at"]) for life in lives(file) for e in life.events})

    told = [e for life in lives(file) for e in life.events]
    assert {tuple(e["at"]) for e in told} == fresh  # nothing is missing, and no repeat of a producer is handed out
    for event in told:
        sent = traffic.sent[tuple(event["at"])]
        assert (event["agent"], event["first"]) == (sent.agent, sent.first)
        assert event["gap"] == (list(sent.gap) if sent.gap else None)
        assert event["dropped"] == sent.newly_dropped
    assert sum(1 for sent in traffic.sent.values() if sent.gap) > kills
    check_beginnings(lives(file), fresh)


def check_beginnings(found: list[Life], fresh: set[tuple[int, int]]) -> None:
    """Each life goes on at the cursor that the one before left, and leaves nothing out."""
    cursors: dict[int, set[int]] = {p: {0} for p in range(3)}
    for life in found:
        for partition in range(3):
            offsets = [e["at"][1] for e in life.events if e["at"][0] == partition]
            if not offsets:
                continue
            every = sorted(offset for p, offset in fresh if p == partition)
            begins = {next((o for o in every if o >= cursor), -1) for cursor in cursors[partition]}
            assert offsets[0] in begins, f"partition {partition} began at {offsets[0]}, not at one of {begins}"
            assert offsets == [o for o in every if offsets[0] <= o <= offsets[-1]]
        cursors = life.cursors
