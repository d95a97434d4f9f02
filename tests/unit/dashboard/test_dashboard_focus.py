"""A step of the log becomes a row of a page: the same as history makes of it once it is stored."""

from __future__ import annotations

import numpy as np

from runbus.dashboard.live.focus import step_row
from runbus.reader import Steps
from runbus.reader.events import At
from runbus.schemas.batch import ABSENT_OBSERVATION, BatchHeader, StepBatch
from runbus.schemas.layout import Layout, pack
from runbus.schemas.named import Extra
from tests.support.batches import step_columns

TEXT = Layout("text", (-1,), -1)
IMAGE = Layout("|u1", (2, 2, 1), 4)
AT = At("runbus.steps", 3, 41, 0, b"")


def steps(action: Layout, actions: bytes, observation: Layout, observations: bytes, **columns: object) -> Steps:
    """Return a record of three steps, the first a reset."""
    seq = np.arange(5, 8)
    header = BatchHeader("run", "agent", 7, 5, 3, 0, 1, action, observation)
    numbers = step_columns(seq, 100 + seq, step=np.arange(3, dtype="<i4"), **columns)  # type: ignore[arg-type]
    extras = (Extra("loss", np.array([1, 1, 2], "<u4"), np.array([0.5, 0.25, 3.0])),)
    return Steps(AT, StepBatch(header, numbers, actions, observations, extras=extras))


def test_numbers_and_images_have_their_dtype_and_their_values() -> None:
    """The action of a reset is none; of a name that was logged twice the last number is shown."""
    found = steps(Layout("<i8", (), 8), np.array([0, 1, 2], "<i8").tobytes(), IMAGE, bytes(range(12)))
    reset, last = step_row(found, 0), step_row(found, 2)
    assert (reset["action"], reset["extras"]) == (None, {})
    assert last["action"] == {"dtype": "<i8", "shape": [], "data": [2]}
    assert last["observation"] == {"dtype": "|u1", "shape": [2, 2, 1], "base64": "CAkKCw=="}
    assert (step_row(found, 1)["extras"], last["extras"]) == ({"loss": 0.25}, {"loss": 3.0})
    assert {name: last[name] for name in ("seq", "step", "ts", "reward", "p", "o", "tick", "parent", "kind")} == {
        "seq": 7,
        "step": 2,
        "ts": 107,
        "reward": 7.0,
        "p": 3,
        "o": 41,
        "tick": -1,
        "parent": -1,
        "kind": "",
    }


def test_texts_are_texts_and_what_is_left_out_is_said() -> None:
    """An observation that is absent in one step is there in its neighbour."""
    texts = pack(TEXT, [b"", b"hello", b"world"])
    absent = np.array([0, ABSENT_OBSERVATION, 0], "u1")
    found = steps(Layout("omitted:<f4", (9,), 0), b"", TEXT, texts, absent=absent)
    assert step_row(found, 1)["observation"] is None
    assert step_row(found, 2)["observation"] == {"dtype": "text", "text": "world"}
    assert step_row(found, 2)["action"] == {"dtype": "omitted:<f4", "shape": [9]}
