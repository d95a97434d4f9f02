"""What becomes of a run's configuration: its fields are kept, whatever holds them, and it never costs a run event."""

import argparse
import json
import math
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.recorder import Recorder, RunBus
from runbus.recorder.config_text import config_text
from runbus.recorder.size_limits import json_within, run_event_within, text_within
from runbus.schemas.events import RunEvent


@dataclass
class Optimizer:
    """A part of a configuration."""

    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)


@dataclass
class Config:
    """A configuration with things inside that no JSON has."""

    optimizer: Optimizer = field(default_factory=Optimizer)
    lock: Any = field(default_factory=threading.Lock)
    module: Any = math
    unset: int = field(init=False)


class Model:
    """Offers its fields as pydantic's models do."""

    def model_dump(self) -> dict[str, object]:
        """Return them."""
        return {"lr": 0.1, "optimizer": Optimizer()}


class Attrs:
    """Offers its fields as attrs does."""

    __attrs_attrs__ = (SimpleNamespace(name="lr"),)
    lr = 0.1


class Point(NamedTuple):
    """A named tuple."""

    lr: float


OPTIMIZER = {"lr": 0.1, "betas": [0.9, 0.99]}


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (None, {}),
        ({"lr": np.float32(0.5), 3: {"deep": Optimizer()}}, {"lr": 0.5, "3": {"deep": OPTIMIZER}}),
        (Optimizer(), OPTIMIZER),
        (argparse.Namespace(lr=0.1, parts=[Optimizer()]), {"lr": 0.1, "parts": [OPTIMIZER]}),
        (SimpleNamespace(lr=0.1), {"lr": 0.1}),
        (types.MappingProxyType({"lr": 0.1}), {"lr": 0.1}),
        (Model(), {"lr": 0.1, "optimizer": OPTIMIZER}),
        (Attrs(), {"lr": 0.1}),
        (Point(0.1), {"lr": 0.1}),
        ({"a": float("nan"), "b": np.arange(2)}, {"a": "NaN", "b": [0, 1]}),
    ],
)
def test_fields_are_kept(config: object, kept: object) -> None:
    """Mappings, dataclasses, namespaces, models, named tuples; at any depth."""
    assert json.loads(config_text(config)) == kept


def test_what_has_no_fields_is_text() -> None:
    """A lock, a module, a class and a function are no error, and a field that is not set is not there."""
    kept = json.loads(config_text(Config()))
    assert kept["optimizer"] == OPTIMIZER
    assert "lock" in kept["lock"]
    assert "module 'math'" in kept["module"]
    assert "unset" not in kept
    assert "Optimizer" in json.loads(config_text({"kind": Optimizer}))["kind"]
    assert "function" in json.loads(config_text({"f": test_fields_are_kept}))["f"]


def test_a_config_of_any_kind_is_recorded() -> None:
    """What contains itself, is nested without end, or has no text, leaves a remark in its place, and the rest."""

    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    cyclic: dict[str, Any] = {"lr": 0.1}
    cyclic["self"] = cyclic
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for config in (cyclic, {"deep": deep, "lr": 0.1}, {"object": Unspeakable(), "lr": 0.1}):
        assert json.loads(config_text(config))["lr"] == 0.1


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=200) | st.integers() | st.lists(st.integers()), max_size=8),
    st.integers(64, 1000),
)
def test_a_large_document_loses_its_largest_values(document: dict[str, Any], most: int) -> None:
    """It stays JSON within the size; every value that is left is as it was, and the others say how large they were."""
    text = json.dumps(document, ensure_ascii=False)
    cut = json_within(text, most)
    assert len(cut.encode()) <= most
    kept = json.loads(cut)
    if kept.keys() == document.keys():
        changed = {key for key in document if kept[key] != document[key]}
        assert all(kept[key].keys() == {"left_out_bytes"} for key in changed)
        assert changed or len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()) <= most
    else:
        assert kept == {"left_out_bytes": len(text.encode())}


@given(st.text(max_size=300), st.integers(40, 200))
def test_a_long_text_says_how_long_it_was(text: str, most: int) -> None:
    """Its beginning stays."""
    cut = text_within(text, most)
    assert len(cut.encode("utf-8", "replace")) <= most
    assert cut == text or (cut.endswith(f"({len(text.encode('utf-8', 'replace'))} bytes in all)"))


HUGE = "x" * 5_000_000


@pytest.mark.parametrize(
    "fill",
    [
        lambda: Recorder("run-1", config={"lr": 0.1, "weights": HUGE}, kafka=False, bus=RunBus()),
        lambda: Recorder("run-1", config=[HUGE], kafka=False, bus=RunBus()),
        lambda: Recorder(
            "run-1", labels=dict.fromkeys(map(str, range(100)), "x" * 4000), tags=["x" * 4000] * 1000, kafka=False
        ),
        lambda: Recorder(
            "run-1", observation_space=HUGE, action_space=json.dumps({"n": HUGE}), kafka=False, bus=RunBus()
        ),
    ],
    ids=["mapping", "list", "labels and tags", "spaces"],
)
def test_no_size_costs_the_start_or_the_end_of_a_stream(fill: Callable[[], Recorder]) -> None:
    """Config, spaces, labels, a summary of 20,000 names, an error of megabytes: both events fit into a record."""
    recorder = fill()
    seen = recorder.bus.subscribe("test")
    recorder.log({f"metric/{i:020}": i for i in range(20_000)})
    recorder.close("failed", HUGE)
    started, finished = (e for e in seen.get_many(10) if not hasattr(e, "rows"))
    for event in (started.event, finished.final(0)):
        assert len(event.encode()) < 4 * 2**20 - 2**16
    assert "bytes in all" in finished.final(0).error


def test_a_small_limit_of_the_broker_is_met_too() -> None:
    """All texts give way at once, and what is small stays."""
    event = RunEvent(
        run_id="r", agent_id="a", attempt=1, kind="STARTED", sent_at=1, started_at=1,
        config=json.dumps({"lr": 0.1, "weights": HUGE}), error=HUGE, summary='{"loss":1}',
    )  # fmt: skip
    small = run_event_within(event, 1000)
    assert len(small.encode()) < 3000
    assert json.loads(small.config) == {"lr": 0.1, "weights": {"left_out_bytes": 5_000_002}}
    assert small.summary == event.summary
