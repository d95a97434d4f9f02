"""Artifacts of a recorder: a reference each, beside the loop, whatever becomes of the file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from runbus.recorder import Recorder, recording
from runbus.recorder.file_reference import FileReference
from runbus.schemas.metric_batch import ARTIFACT, NO_POSITION
from tests.support.recorded_metrics import Recorded


def said(recorded: Recorded) -> list[dict[str, Any]]:
    """Return the artifacts that came, with their columns."""
    found = []
    for batch in recorded.batches():
        c = batch.columns
        assert c.kind is not None
        for row in (row for row, kind in enumerate(c.kind.tolist()) if kind == ARTIFACT):
            named = {"type": batch.names[c.name[row]], "axis": batch.axes[c.name[row]], "value": float(c.value[row])}
            numbers = {"at": c.at, "env": c.env, "episode": c.episode, "attempt": c.agent_attempt, "absent": c.absent}
            more = {name: int(column[row]) for name, column in numbers.items() if column is not None}
            agent = batch.agent[row] if batch.agent else ""
            found.append({**json.loads(batch.text[row]), **named, **more, "agent": agent})
    return found


def test_a_file_is_recorded_with_its_size_and_hash(tmp_path: Path) -> None:
    """At its step, under its own name; a folder and what is elsewhere too. None replaces another."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.pt").write_bytes(b"weights")
    recorded = Recorded()
    with recorded.metrics() as metrics:
        metrics.artifact(tmp_path / "out" / "a.pt", type="checkpoint", step=100)
        metrics.artifact(f"{tmp_path}/out/", type="checkpoint", name="all", step=2, axis="episode")
        metrics.artifact("s3://models/final.pt", type="model", size=7, sha256="5f", time=1.5)
        metrics.artifact("s3://models/final.pt", type="model")
        metrics.log({"loss": 1.0}, step=100)
        assert metrics.flush(30)
    digest = hashlib.sha256(b"weights").hexdigest()
    file, folder = (tmp_path / "out" / "a.pt").as_uri(), (tmp_path / "out").as_uri()
    of_folder = hashlib.sha256(f"{digest}  a.pt\n".encode()).hexdigest()
    found = sorted(said(recorded), key=lambda one: (one["type"], str(one["bytes"]), one["name"]))
    keys = ("type", "name", "uri", "bytes", "sha256", "axis", "at", "value")
    rows = [tuple(one[key] for key in keys) for one in found]
    assert rows[:2] == [
        ("checkpoint", "a.pt", file, 7, digest, "global_step", 100, 7.0),
        ("checkpoint", "all", folder, 7, of_folder, "episode", 2, 7.0),
    ]
    assert rows[2][:7] == ("model", "final.pt", "s3://models/final.pt", -1, "", "", NO_POSITION)
    assert rows[3] == ("model", "final.pt", "s3://models/final.pt", 7, "5f", "", NO_POSITION, 7.0)
    assert [one["absent"] for one in found] == [0, 0, 1, 0]


def test_an_artifact_may_show_an_episode() -> None:
    """Of the recorder's own agent unless another is named; without one it shows nothing."""
    recorded = Recorded()
    with Recorder("run-1", "agent-0", bus=recorded.bus, kafka=False) as recorder:
        recorder.reset(0.0)
        for words in ({}, {"episode": 3}, {"env": 0}, {"agent": "other", "episode": 4, "attempt": 9}):
            recorder.artifact("http://host/x.mp4", type="video", **words)
        attempt = recorder.attempt
    assert [(one["agent"], one["attempt"], one["env"], one["episode"]) for one in said(recorded)] == [
        ("", 0, -1, -1), ("agent-0", attempt, 0, 3), ("agent-0", attempt, 0, 0), ("other", 9, 0, 4)
    ]  # fmt: skip


def test_what_cannot_be_hashed_is_recorded_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is not there; an argument that is none of any artifact never reaches the loop."""
    recorded = Recorded()
    with recorded.metrics() as metrics:
        for _ in range(2):
            metrics.artifact(tmp_path / "none.pt", type="checkpoint")
        metrics.artifact(7, type="checkpoint")  # type: ignore[arg-type]
        metrics.artifact("s3://x", type="")
        metrics.artifact("s3://x", type="model", step="late")  # type: ignore[arg-type]
        assert metrics.flush(30)
        assert metrics.stats()["left_out"] == 5
    # what is hashed comes when that is done, in any order beside what is not
    assert sorted((one["name"], one["sha256"], one["absent"]) for one in said(recorded)) == [
        ("none.pt", "", 1), ("none.pt", "", 1), ("x", "", 1)
    ]  # fmt: skip
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([text for text in warned if "is recorded without a hash: [Errno 2]" in text]) == 1


def test_the_end_waits_for_a_hash_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not hashed then is recorded without; the call itself waits for nothing."""
    go, begun = threading.Event(), threading.Event()

    def slow(found: FileReference, path: Path) -> FileReference:
        begun.set()
        go.wait(30)
        return FileReference(found.uri, 1, "late")

    monkeypatch.setattr("runbus.recorder.hashing.hashed", slow)
    recorded = Recorded()
    metrics = recorded.metrics()
    metrics.artifact(tmp_path / "first", type="model")
    metrics.artifact(tmp_path / "second", type="model")
    assert begun.wait(30)
    assert not metrics.flush(0.0)
    monkeypatch.setattr(recording, "PATIENCE_S", 0.0)
    metrics.close()
    go.set()
    assert [(one["name"], one["sha256"]) for one in said(recorded)] == [("first", ""), ("second", "")]

    monkeypatch.setattr(recording, "PATIENCE_S", 30.0)
    metrics = recorded.metrics()
    metrics.artifact(tmp_path / "third", type="model")
    metrics.close()
    metrics.artifact(tmp_path / "fourth", type="model")
    assert [(one["name"], one["sha256"]) for one in said(recorded)] == [("third", "late")]


def test_a_forked_child_hashes_its_own_and_nothing_of_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it is forked while its parent's thread works."""
    go, begun = threading.Event(), threading.Event()

    def slow(found: FileReference, path: Path) -> FileReference:
        if path.name == "parents":
            begun.set()
            go.wait(30)
        return FileReference(found.uri, 1, "done")

    monkeypatch.setattr("runbus.recorder.hashing.hashed", slow)
    recorded = Recorded()
    metrics = recorded.metrics()
    metrics.artifact(tmp_path / "parents", type="model")
    assert begun.wait(30)
    pid = os.fork()
    if pid == 0:
        metrics.artifact(tmp_path / "childs", type="model")
        done = metrics.flush(30)
        metrics.close()
        os._exit(0 if done and [one["name"] for one in said(recorded)] == ["childs"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    go.set()
    metrics.close()
    assert [(one["name"], one["sha256"]) for one in said(recorded)] == [("parents", "done")]
