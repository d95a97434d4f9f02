"""The commands as a user runs them, values that a registry learns to read later, and the letters as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.sink.sink_processes import Feed, Sinks, Tables, make_batch
from tests.support.waiting import until


@dataclass(frozen=True)
class Dlq:
    """`runbus dlq` with some settings."""

    env: Mapping[str, str]
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "runbus.cli", "dlq", *arguments],
            env={**os.environ, **self.env},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def retry_all(self, log: Path) -> subprocess.Popen[bytes]:
        """Start a retry of everything that says in a file what became of each letter."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "runbus.cli", "--log-level", "info", "dlq", "retry", "--all"],
                env={**os.environ, **self.env},
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run one to its end, expect an exit code, return what it printed."""
        process = self.start(*arguments)
        output, complaints = process.communicate(timeout=300)
        assert process.returncode == code, output + complaints
        return output

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run one with --json; return the document."""
        return json.loads(self.run(*arguments, "--json", code=code))

    def statuses(self, topic: str) -> dict[str, str]:
        """Return key -> status of the letters about a topic."""
        return {letter["key"]: letter["status"] for letter in self.json("list", "--topic", topic, "--limit", "1000")}

    def results(self, *arguments: str, code: int = 0) -> dict[str, str]:
        """Retry; return key -> result."""
        return {outcome["key"]: outcome["result"] for outcome in self.json("retry", *arguments, code=code)}


def own_positions(tables: Tables, topics: Sequence[str]) -> list[tuple[int, int]]:
    """Return how often each letter about some topics is in the table: (its offset on `dead-letters`, rows)."""
    rows = tables.client.query(
        "SELECT kafka_offset, count() FROM dead_letters WHERE topic IN {topics:Array(String)} "
        "GROUP BY kafka_topic_id, kafka_offset ORDER BY kafka_offset",
        parameters={"topics": list(topics)},
    ).result_rows
    return [(int(offset), int(count)) for offset, count in rows]


def good(feed: Feed, agent: str, first: int, count: int = 8) -> bytes:
    """Return a value that everybody can read."""
    return feed.value(make_batch(feed.run, agent, first, count))


def broken(feed: Feed, first: int) -> bytes:
    """Return a value that nobody will ever read, cut from good steps."""
    return good(feed, "broken", first)[:-7]


def letters(tables: Tables, topic: str) -> int:
    """Return how many letters about a topic are stored."""
    return int(str(tables.one("SELECT count() FROM dead_letters WHERE topic = {topic:String}", topic=topic)))


def deliver(feed: Feed, sinks: Sinks, tables: Tables, dead: int) -> None:
    """Let a sink store everything, letters included, and end."""
    topic = feed.settings.topic_prefix + "steps"
    process = sinks.start(dead_letter_run="0", dead_letter_share="1")
    tables.wait(feed)
    until(f"{dead} letters are stored", lambda: letters(tables, topic) >= dead)
    assert sinks.stop(process) == 0
