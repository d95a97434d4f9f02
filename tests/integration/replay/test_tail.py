"""`runbus tail` shows the newest steps and events, and those that come, until somebody leaves."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from runbus.recorder import Recorder, RunBus
from tests.integration.replay.scene import TEXT, VECTOR, Scene

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]


def test_the_newest_lines_of_a_run(scene: Scene) -> None:
    """Readable, in order, with nothing that a terminal would act on."""
    lines = scene.run("tail", "--run", TEXT).splitlines()
    assert [line.split("  ")[1] for line in lines] == [f"{TEXT}/planner"] * len(lines)
    text = "\n".join(lines)
    assert "started" in text
    assert r"reset  observation Find \x1b[31mit.  seed 7  labels {task: t1}" in text
    assert "step 2  reward nan" in text
    assert "tokens=412" in text
    assert "finalised: terminated" in text
    assert "ended: completed  3 steps, 0 dropped" in text
    assert len(scene.run("tail", "--run", TEXT, "--last", "2").splitlines()) == 2


def test_json_is_exact(scene: Scene) -> None:
    """One object a line, of steps all that they have; the newest of a run that others have buried is found."""
    found = [json.loads(line) for line in scene.run("tail", "--run", TEXT, "--topics", "steps", "--json").splitlines()]
    assert [one["seq"] for one in found] == [0, 1, 2]
    assert found[0]["observation"] == "Find \x1b[31mit."
    assert found[0]["seed"] == 7
    assert found[1]["action"] == {"tool": "search"}
    assert (found[2]["reward"], found[2]["info"], found[2]["stop"]) == ("nan", {"ok": True}, "done")
    assert found[2]["logged"] == {"tokens": [412.0]}
    last = [json.loads(line) for line in scene.run("tail", "--run", VECTOR, "--topics", "steps", "--json").splitlines()]
    assert len(last) == 20
    assert last[-1]["seq"] == scene.rows("SELECT argMax(seq, (ts, seq)) FROM steps WHERE run_id = 'vector-1'")[0][0]
    whole = scene.run("tail", "--run", VECTOR, "--topics", "steps", "--from", "beginning", "--json").splitlines()
    assert len(whole) == sum(row[2] for row in scene.steps(VECTOR))


@pytest.mark.parametrize("end", ["ctrl-c", "pipe"])
def test_it_follows_until_somebody_leaves(scene: Scene, end: str) -> None:
    """A step is shown as it comes; Ctrl-C ends with 130 and no traceback, a closed pipe with 0 and no word."""
    process = scene.command("tail", "--run", f"new-{end}", "--follow", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    with stepping(scene, f"new-{end}"):
        assert json.loads(process.stdout.readline())["run_id"] == f"new-{end}"
        if end == "ctrl-c":
            process.send_signal(signal.SIGINT)
        else:
            process.stdout.close()
        code = process.wait(60)
    assert (code, process.stderr.read()) == (130 if end == "ctrl-c" else 0, "")
    process.stderr.close()
    process.stdout.close()


@contextmanager
def stepping(scene: Scene, run: str) -> Iterator[None]:
    """Record a step now and then meanwhile."""
    over = threading.Event()

    def play() -> None:
        with Recorder(run, bus=RunBus(), settings=scene.settings) as recorder:
            recorder.reset(np.zeros(2))
            while not over.wait(0.02):
                recorder.step(1, 1.0, False, False, np.zeros(2))

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
