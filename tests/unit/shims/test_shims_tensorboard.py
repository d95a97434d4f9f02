"""A SummaryWriter as scripts call it: every call is taken, and what is kept is a metric at its step."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from runbus.shims.target import run_of_folder, run_of_now
from runbus.shims.tensorboard import SummaryWriter
from tests.support.recorded_metrics import Recorded


def test_what_scripts_write_is_recorded_at_its_step() -> None:
    """Scalars of any type, groups, texts; by position as torch's writer takes them."""
    recorded = Recorded()
    with SummaryWriter("runs/x", "", None, 10, 120, run=recorded.metrics()) as writer:
        writer.add_scalar("losses/value", np.float32(0.5), 100)
        writer.add_scalar("charts/SPS", 7, global_step=90, walltime=1.5, new_style=True)
        writer.add_scalar("no step", True)
        writer.add_scalars("loss", {"train": 1.0, "test": 2.0}, 3)
        writer.add_text("note", "|a|b|", 0)
        writer.flush()
    assert recorded.values() == [
        ("losses/value", "global_step", 100, 0.5),
        ("charts/SPS", "global_step", 90, 7.0),
        ("no step", "", None, 1.0),
        ("loss/train", "global_step", 3, 1.0),
        ("loss/test", "global_step", 3, 2.0),
        ("note", "global_step", 0, "|a|b|"),
    ]


def test_a_walltime_is_the_time_of_the_value() -> None:
    """In seconds, as the others take it."""
    recorded = Recorded()
    writer = SummaryWriter(run=recorded.metrics())
    writer.add_scalar("x", 1.0, 0, 1_790_000_000.25)
    writer.flush()
    (batch,) = recorded.batches()
    assert batch.columns.ts.tolist() == pytest.approx([1_790_000_000_250_000], abs=1)  # of a float, in microseconds
    writer.close()


def test_a_histogram_is_a_summary_and_hyper_parameters_are_a_text() -> None:
    """NaN and infinities count, and spoil nothing."""
    recorded = Recorded()
    writer = SummaryWriter(run=recorded.metrics())
    writer.add_histogram("w", np.array([[1.0, 2.0], [3.0, np.nan]]), 5, bins="auto")
    writer.add_histogram("none", [np.inf], 6)
    writer.add_hparams({"lr": 0.1, "net": [1, 2], "odd": object}, {"best": 3.0})
    writer.flush()
    found = {name: (at, value) for name, _, at, value in recorded.values()}
    assert {name: value for name, (at, value) in found.items() if at == 5} == {
        "w/count": 4.0, "w/min": 1.0, "w/max": 3.0, "w/mean": 2.0, "w/std": pytest.approx(np.std([1, 2, 3])),
        "w/p5": pytest.approx(1.1), "w/p25": 1.5, "w/p50": 2.0, "w/p75": 2.5, "w/p95": pytest.approx(2.9),
    }  # fmt: skip
    assert found["none/count"] == (6, 1.0)
    assert json.loads(str(found["hparams"][1])) == {"lr": 0.1, "net": [1, 2], "odd": "<class 'object'>"}
    assert found["best"] == (None, 3.0)
    writer.close()


def test_what_is_not_kept_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the method takes; a method that no writer has is an error, as everywhere."""
    writer = SummaryWriter(run=Recorded().metrics())
    for step in range(3):
        writer.add_image("frame", np.zeros((3, 8, 8)), step, dataformats="CHW")
    writer.add_graph(object())
    writer.add_histogram("w", ["no number"], 1)
    writer.close()
    assert writer.not_kept() == {"add_image": 3, "add_graph": 1, "a histogram that is no array of numbers": 1}
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 3
    assert said[0].startswith("SummaryWriter: add_image is not kept: RunBus keeps numbers, texts and references")
    with pytest.raises(AttributeError, match="SummaryWriter has no draw"):
        writer.draw()


@pytest.mark.parametrize(
    ("folder", "run"),
    [
        ("runs/CartPole-v1__ppo__1", "CartPole-v1__ppo__1"),
        ("/home/me/runs/sweep/seed-1", "sweep-seed-1"),
        (Path("logs") / "exp 1", "exp 1"),
        ("./runs", "runs"),
        ("a\tb", "a-b"),
        ("x" * 400, "x" * 200),
    ],
)
def test_the_folder_names_the_run(folder: str | Path, run: str) -> None:
    """What follows `runs/`, else its last part; always a name that a run can have."""
    assert run_of_folder(str(folder)) == run


def test_without_a_folder_the_run_has_a_name_of_its_own() -> None:
    """The time, the host and the comment."""
    assert run_of_now() != run_of_now()
