"""A process that must not run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping


def fails(module: str, env: Mapping[str, str], *, seconds: float = 60, code: int = 1) -> str:
    """Run a process that must end with that code, without a traceback; return its last line."""
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().splitlines()[-1]
