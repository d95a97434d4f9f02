"""The bridge in a real Qt application without a screen, where there is one: RUNBUS_TEST_QT names its Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PYTHON = os.environ.get("RUNBUS_TEST_QT", "")
_CODE = """
import sys, threading
from PySide6.QtCore import QCoreApplication, QTimer
from runbus.mosaic.bus import RunBus
from runbus.mosaic.events import TelemetryEvent, Topic
from runbus.mosaic.qt import MAX_QUEUE, Bridge

app = QCoreApplication([])
bus, seen = RunBus(), []
bridge = Bridge(bus)
here = threading.get_ident()
bridge.steps.connect(lambda found: seen.append(("steps", len(found), found[0]["n"], threading.get_ident() == here)))
bridge.episode.connect(lambda found: seen.append(("episode", found["n"])))
bridge.dropped.connect(lambda name, count: seen.append(("dropped", name, count)))
bridge.run_finished.connect(lambda run: (seen.append(("finished", run)), bridge.close(), app.quit()))


def publish():
    for n in range(MAX_QUEUE + 2):
        bus.publish(TelemetryEvent(Topic.STEP_APPENDED, "r", "a", n, "", {"n": n}))
    bus.publish(TelemetryEvent(Topic.EPISODE_FINALIZED, "r", "a", 1, "", {"n": 7}))
    bus.publish(TelemetryEvent(Topic.RUN_COMPLETED, "r", "a", 1, "", {}))


thread = threading.Thread(target=publish)
thread.start()
thread.join()
app.exec()
assert bus.queue_sizes() == {}, bus.queue_sizes()
print(seen)
"""


@pytest.mark.skipif(not PYTHON, reason="RUNBUS_TEST_QT names no Python with PySide6 and RunBus's own dependencies")
def test_steps_of_another_thread_are_one_signal_in_the_gui(tmp_path: Path) -> None:
    """The oldest are dropped and said; episodes and ends come too; a closed bridge has no queues."""
    root = Path(__file__).parents[3]
    paths = os.pathsep.join(str(root / name) for name in ("producers", "stream_apps", "schemas"))
    done = subprocess.run(
        [PYTHON, "-c", _CODE], env={**os.environ, "PYTHONPATH": paths, "QT_QPA_PLATFORM": "offscreen"},
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(
        [("steps", 10_000, 2, True), ("episode", 7), ("dropped", "qt", 1), ("dropped", "qt", 2), ("finished", "r")]
    )
