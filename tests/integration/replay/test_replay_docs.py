"""The examples of docs/replay.md, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runbus import replay
from runbus.recorder import Recorder, RunBus
from runbus.replay import Source
from tests.integration.replay.scene import Scene

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition("  #")[0]
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_each_example_runs(scene: Scene) -> None:
    """Scripts end with 0, on a run as the README records it."""
    with Recorder("cartpole-1", "agent-0", bus=RunBus(), settings=scene.settings) as recorder:
        for _ in range(20):
            recorder.reset(np.zeros(4, np.float32))
            recorder.step(1, 1.0, False, False, np.ones(4, np.float32))
            recorder.step(0, 1.0, True, False, np.ones(4, np.float32))
    assert recorder.flush(30)
    scene.settle()
    for code in SNIPPETS:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, **scene.processes.env},
            cwd=scene.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_each_command_is_one() -> None:
    """With options that it has; what they do is shown by the other tests here."""
    reference = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for line in COMMANDS:
        words = shlex.split(line)
        path = " ".join(words[: 3 if words[1] == "rebuild" else 2])
        section = reference.partition(f"### `{path}`\n")[2].partition("### ")[0]
        assert section, line
        assert all(word in section for word in words if word.startswith("--")), line


def test_the_page_names_what_there_is() -> None:
    """Every argument and class."""
    for name in (*(n for n in Source.__init__.__annotations__ if n not in ("return", "self")), *replay.__all__):
        if name != "NoSuchRun":
            assert f"`{name}" in PAGE, name
