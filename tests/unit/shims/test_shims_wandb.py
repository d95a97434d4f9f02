"""A wandb-shaped run: where its values lie, and what of its media is kept."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.shims import wandb
from runbus.shims.wandb_axes import Axes
from runbus.shims.wandb_run import Config, Run
from tests.support.recorded_metrics import Recorded


def run_on(recorded: Recorded, **config: Any) -> Run:
    """Return a run that is recorded there."""
    return Run("run-1", "learner-0", Config(config), bus=recorded.bus, kafka=False)


def test_a_call_without_a_step_counts_and_calls_of_one_step_belong_together() -> None:
    """As W&B counts, but nothing is dropped for its order."""
    recorded = Recorded()
    with run_on(recorded) as run:
        run.log({"loss": 1.0})
        run.log({"loss": 2.0})
        run.log({"a": 1.0}, step=10)
        run.log({"b": 2.0}, step=10)
        run.log({"loss": 3.0})
        run.log({"late": 4.0}, step=3)
        run.log({"part": 5.0}, commit=False)
        run.log({"rest": 6.0})
        assert run.step == 12
    assert [(name, at, value) for name, axis, at, value in recorded.values() if axis == "global_step"] == [
        ("loss", 0, 1.0), ("loss", 1, 2.0), ("a", 10, 1.0), ("b", 10, 2.0), ("loss", 10, 3.0), ("late", 3, 4.0),
        ("part", 11, 5.0), ("rest", 11, 6.0),
    ]  # fmt: skip


def test_a_metric_lies_on_the_axis_that_it_was_given() -> None:
    """By name and by pattern; the axis' newest value counts, also from an earlier call."""
    recorded = Recorded()
    with run_on(recorded) as run:
        run.define_metric("train/step")
        run.define_metric("train/*", step_metric="train/step")
        run.define_metric("eval", step_metric="epoch")
        run.log({"train/loss": 0.5})
        run.log({"train/loss": 1.0, "train/step": 400, "other": 1})
        run.log({"train/loss": 2.0, "eval": 7.0, "epoch": np.int64(3)})
        run.log({"eval": 8.0, "epoch": 3.5})
    assert sorted(recorded.values(), key=str) == sorted(
        [
            ("train/loss", "global_step", 0, 0.5),
            ("train/loss", "train/step", 400, 1.0), ("train/step", "global_step", 1, 400.0),
            ("other", "global_step", 1, 1.0),
            ("train/loss", "train/step", 400, 2.0), ("eval", "epoch", 3, 7.0), ("epoch", "global_step", 2, 3.0),
            ("eval", "global_step", 3, 8.0), ("epoch", "global_step", 3, 3.5),
        ],
        key=str,
    )  # fmt: skip


_CALLS = st.lists(st.tuples(st.none() | st.integers(0, 5), st.none() | st.booleans()), max_size=12)


@given(_CALLS)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_value_of_every_call_has_one_place(calls: list[tuple[int | None, bool | None]]) -> None:
    """Whatever the steps: at the step that was said, else at a counter that never goes back."""
    axes, counters = Axes(), [0]
    for step, commit in calls:
        before = axes.counter
        assert axes.place({"a": 1, "b": 2}, step, commit) == [
            ("global_step", before if step is None else step, {"a": 1, "b": 2})
        ]
        counters.append(axes.counter)
    assert counters == sorted(counters)


def test_media_are_summaries_texts_or_counted() -> None:
    """Nested values have names with a slash, as everywhere in RunBus."""
    recorded = Recorded()
    table = wandb.Table(columns=["prompt", "score"], data=[["a", 1]])
    table.add_data("b", object)
    with run_on(recorded) as run:
        run.log({"h": wandb.Histogram(np.arange(3)), "t": table, "frame": wandb.Image(np.zeros(3)), "n": {"x": 1}})
        run.log({"frame": wandb.Image("x.png"), "word": "yes"})
        run.watch(object())
        assert run.not_kept() == {"Image": 2, "watch": 1}
    found = {name: value for name, _, _, value in recorded.values()}
    rows = [["a", 1], ["b", "<class 'object'>"]]
    assert json.loads(str(found["t"])) == {"columns": ["prompt", "score"], "data": rows}
    assert (found["h/mean"], found["n/x"], found["word"]) == (1.0, 1.0, "yes")
    assert "frame" not in found


def test_the_config_is_the_runs_and_what_is_set_later_is_recorded() -> None:
    """By attribute, by name, from a namespace; the summary has the newest values, and records what is set by hand."""
    recorded = Recorded()
    run = run_on(recorded, lr=0.1)
    run.config.batch = 8
    run.config.update(argparse.Namespace(seed=1), allow_val_change=True)
    run.log({"loss": 1.0})
    run.config.update({"lr": 0.2})
    run.summary["best"] = 3.0
    run.summary.update(worst=1.0)
    run.finish(exit_code=1)
    assert (run.config.lr, run.config["batch"], run.summary["loss"], run.summary["best"]) == (0.2, 8, 1.0, 3.0)
    with pytest.raises(AttributeError, match="no such"):
        _ = run.config.such
    found = {name: value for name, _, _, value in recorded.values()}
    assert (found["config/lr"], found["summary/best"], found["summary/worst"]) == (0.2, 3.0, 1.0)


def current() -> Run | None:
    """Return the module's run as it is now."""
    return wandb.run


def test_the_module_is_its_newest_run() -> None:
    """`wandb.run`, `wandb.config`, `wandb.summary`; a second init ends the first run; without a run it is said."""
    with pytest.raises(ConfigError, match=r"call wandb.init\(\) first"):
        wandb.log({"x": 1})
    assert current() is None
    first = wandb.init(project="p", name="a/b", config={"lr": 1}, mode="disabled", entity="me", sync_tensorboard=True)
    assert current() is first
    assert wandb.config is first.config
    assert (first.name, wandb.config.lr) == ("a-b", 1)
    wandb.log({"x": 1}, step=4)
    wandb.define_metric("x", step_metric="y")
    wandb.alert("low", "very")
    wandb.watch(object())
    assert wandb.summary["x"] == 1
    second = wandb.init(mode="disabled")
    assert current() is second
    assert second.name != wandb.init(mode="disabled").name
    wandb.finish()
    wandb.finish()
    assert current() is None
    assert wandb.login()
