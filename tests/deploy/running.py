"""Run a tool and keep what it printed: half of these tests expect it to refuse."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ran:
    """The exit code of a command, what it printed, and what it printed as errors."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Return everything that it printed."""
        return self.out + self.err


def run(
    *command: str | Path,
    stdin: str = "",
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    seconds: float = 120,
) -> Ran:
    """Run a command to its end, at most so many seconds."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        timeout=seconds,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def ok(ran: Ran) -> str:
    """Return what a command printed that must succeed."""
    assert ran.code == 0, ran.said[-4000:]
    return ran.out
