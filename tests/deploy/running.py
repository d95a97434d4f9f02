"""Run a tool and keep what it printed: half of these tests expect it to refuse."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Of what a command printed, a failed test shows so many characters, first ones and last ones.
_FIRST, _LAST = 8000, 4000
#: Where pytest begins to say what failed.
_FAILURES = re.compile(r"^=+ (ERRORS|FAILURES) =+$", re.MULTILINE)


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
    without: Iterable[str] = (),
    seconds: float = 120,
) -> Ran:
    """Run a command to its end, at most so many seconds, with more variables and without some that are set here."""
    inherited = {name: value for name, value in os.environ.items() if name not in set(without)}
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**inherited, **(environ or {})},
        timeout=seconds,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def ok(ran: Ran) -> str:
    """Return what a command printed that must succeed."""
    assert ran.code == 0, excerpt(ran.said)
    return ran.out


def excerpt(said: str) -> str:
    """Return what to read of a command that failed: the end, and, of a run of pytest, the first failures, too."""
    found = _FAILURES.search(said)
    if found is None:
        return said[-_LAST:]
    told = said[found.start() :]
    return told if len(told) <= _FIRST + _LAST else f"{told[:_FIRST]}\n[...]\n{told[-_LAST:]}"
