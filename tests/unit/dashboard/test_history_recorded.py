"""Actions and observations as JSON says them, for every layout that the recorder writes."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from runbus.dashboard.history.arms import differing
from runbus.dashboard.history.recorded import shown
from runbus.schemas.layout import encode_value, layout_of


def recorded(value: object) -> Any:
    """Return what is shown of a value that a loop hands to the recorder."""
    layout = layout_of(value)
    return shown(layout.dtype, layout.shape, encode_value(layout, value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([0.5, -1.0], "<f4"), {"dtype": "<f4", "shape": [2], "data": [0.5, -1.0]}),
        (np.int64(3), {"dtype": "<i8", "shape": [], "data": [3]}),
        (np.array([2**63], "<u8"), {"dtype": "<u8", "shape": [1], "data": [str(2**63)]}),
        (np.array([True]), {"dtype": "|b1", "shape": [1], "data": [True]}),
        ("hello", {"dtype": "text", "text": "hello"}),
        ("", {"dtype": "text", "text": ""}),
        ({"tool": "search"}, {"dtype": "json", "text": '{"tool":"search"}'}),
        (
            {"at": np.array([1.0], "<f8"), "said": "x"},
            {
                "dtype": "struct",
                "parts": {
                    "at": {"dtype": "<f8", "shape": [1], "data": [1.0]},
                    "said": {"dtype": "text", "text": "x"},
                },
            },
        ),
        (None, None),
    ],
)
def test_values_say_what_they_are(value: object, expected: object) -> None:
    """Numbers flat with their shape, texts as they are, parts of a dict by name."""
    assert recorded(value) == expected


def test_an_image_is_its_bytes() -> None:
    """Bytes with two dimensions or more, in base64; NaN is kept for `said` to count."""
    image = np.arange(12, dtype="|u1").reshape(2, 2, 3)
    found = recorded(image)
    assert (found["dtype"], found["shape"]) == ("|u1", [2, 2, 3])
    assert b64decode(found["base64"]) == image.tobytes()
    assert math.isnan(recorded(np.array([math.nan]))["data"][0])


@pytest.mark.parametrize(
    ("dtype", "shape", "raw", "expected"),
    [
        ("", [], b"", None),
        ("<f4", [2], b"", None),
        ("omitted:<f4", [84], b"", {"dtype": "omitted:<f4", "shape": [84]}),
        ("absent:text", [], b"", {"dtype": "absent:text", "shape": []}),
        ("text", [], b"\xff", {"dtype": "text", "text": "\ufffd"}),
    ],
)
def test_what_is_not_there_is_said(dtype: str, shape: list[int], raw: bytes, expected: object) -> None:
    """No layout, no action of a reset, omitted, absent, bytes that are no text."""
    assert shown(dtype, shape, raw) == expected


@pytest.mark.parametrize(("dtype", "raw"), [("<f4", b"123"), ("struct:[", b"x"), ("<c8", b"12345678")])
def test_bytes_that_lie_are_an_error_in_their_place(dtype: str, raw: bytes) -> None:
    """One bad value takes no other one with it."""
    found = shown(dtype, [1], raw)
    assert found is not None
    assert found["error"]


def test_configurations_differ_where_they_differ() -> None:
    """Nested settings by their path; one that only some have differs; what is no JSON has none."""
    configs = {
        "a": json.dumps({"lr": 1, "net": {"width": 64, "act": "relu"}, "tags": []}),
        "b": json.dumps({"lr": 1.0, "net": {"width": 128, "act": "relu"}, "extra": None, "tags": []}),
    }
    assert differing(configs) == {"lr": {"a": 1, "b": 1.0}, "net.width": {"a": 64, "b": 128}, "extra": {"b": None}}
    assert differing({"a": "{", "b": ""}) == {}
    assert differing({"a": configs["a"]}) == {}
