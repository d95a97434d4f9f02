"""The snippets about reading, of the README and of docs/reader.md, run as they stand."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from runbus import reader as package
from runbus.config.errors import RunBusError
from runbus.kafka.settings import KafkaSettings
from runbus.reader.events import KINDS, LogEvent
from runbus.reader.handing import Counts
from runbus.reader.reader import Reader
from runbus.recorder import Recorder, RunBus

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reader.md").read_text(encoding="utf-8")
SNIPPETS = [
    code
    for text in ((ROOT / "README.md").read_text(encoding="utf-8"), PAGE)
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if "runbus.reader" in code
]


@pytest.mark.parametrize("code", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_reads_what_was_recorded(
    code: str, settings: KafkaSettings, script: Callable[..., subprocess.Popen[str]]
) -> None:
    """It ends without an error, and what it prints is of the run."""
    for run in ("cartpole-1", "assistant-1"):
        with Recorder(run, "agent-0", config={"lr": 0.1}, bus=RunBus(), settings=settings) as recorder:
            recorder.reset(np.zeros(4, np.float32))
            recorder.step(1, 1.0, True, False, np.ones(4, np.float32))
            recorder.metrics({"loss": 0.5}, step=7)
        assert recorder.flush(10)
    process = script(code.replace("timeout=5.0", "timeout=2.0"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    if "register(" not in code:
        assert re.search(r"cartpole-1|assistant-1|agent-0|lr|steps", out)


def test_the_page_names_every_class_topic_argument_and_count() -> None:
    """What the package exports, what a reader takes and what it tells."""
    events = [name for name in package.__all__ if isinstance(getattr(package, name), type)]
    classes = [n for n in events if issubclass(getattr(package, n), (LogEvent, RunBusError)) and n != "LogEvent"]
    assert len(classes) > 10
    arguments = [name for name in Reader.__init__.__annotations__ if name != "return"]
    for name in (*classes, *KINDS, *arguments):
        assert f"`{name}" in PAGE, name
    assert all(count.name in PAGE for count in fields(Counts))
