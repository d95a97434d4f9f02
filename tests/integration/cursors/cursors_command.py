"""`runbus cursors` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CursorsCommand:
    """`runbus cursors` with some settings."""

    env: Mapping[str, str]
    folder: Path

    def done(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run one to its end."""
        return subprocess.run(
            [sys.executable, "-m", "runbus.cli", "cursors", *arguments],
            env={**os.environ, **self.env},
            cwd=self.folder,
            input=typed,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def run(self, *arguments: str) -> str:
        """Run one that must succeed; return what it printed."""
        done = self.done(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run one with --json; return the document."""
        return json.loads(self.run(*arguments, "--json"))

    def groups(self) -> dict[str, Any]:
        """Return what `list` says, by group."""
        return {one["group"]: one for one in self.json("list")}

    def positions(self, group: str) -> dict[tuple[str, int], Any]:
        """Return what `show` says of a group, by topic and partition."""
        return {(p["topic"], p["partition"]): p for p in self.json("show", group)["positions"]}

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Run one that must fail with this code and one line; return the line."""
        done = self.done(*arguments)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1 or code == 2, done.stderr
        return done.stderr


def audit_ranges(env: Mapping[str, str], folder: Path) -> Any:
    """Run `runbus audit --ranges`; return what it says, whether or not the log and the rows agree."""
    done = subprocess.run(
        [sys.executable, "-m", "runbus.cli", "audit", "--ranges", "--json"],
        env={**os.environ, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
