"""The command as a user runs it: its own process, its own home, no settings from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_OURS = ("KAFKA_", "CLICKHOUSE_", "SCHEMA_REGISTRY_", "RUNBUS_")


@dataclass(frozen=True)
class Command:
    """`runbus` with a home of its own."""

    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the command: nothing of the caller's settings but the cache."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS) or k == "RUNBUS_CACHE"}
        return {**kept, "RUNBUS_HOME": str(self.home)}

    def argv(self, *arguments: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "runbus.cli", *arguments]

    def run(self, *arguments: str, timeout: float = 200) -> subprocess.CompletedProcess[str]:
        """Run to the end and return what it printed."""
        return subprocess.run(
            self.argv(*arguments), env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def json(self, *arguments: str) -> Any:
        """Run with --json, expect success and return the document."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and return at once; both outputs go to one pipe."""
        process = subprocess.Popen(
            self.argv(*arguments), env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        return process


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return as soon as `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def processes_of(home: Path) -> list[int]:
    """Return the processes whose command line or environment names `home`, this one excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(home).encode() in text:
                found.append(int(entry.name))
    return found
