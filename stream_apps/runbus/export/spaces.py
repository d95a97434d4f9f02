"""Makes Gymnasium spaces again, of a recorded description (`runbus.gymnasium.space_json`) and the layout of the values.

The layout decides: where the description says something else of a part than what was recorded, or nothing, the part is
a Box of all numbers of its dtype.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from runbus.config.errors import InvalidValue
from runbus.export.arrow import named_parts, node_of
from runbus.schemas.layout import Layout
from runbus.schemas.leaf import NUMERIC_DTYPES, TEXT, is_ragged
from runbus.schemas.tree import Node

Space = spaces.Space[Any]


def space_of(description: str, layout: Layout) -> Space:
    """Return a space that has the values of a layout in it.

    Args:
        description: JSON text, "" = there is none.
        layout: of the values.

    Raises:
        InvalidValue: no space of Box, Discrete, MultiDiscrete, MultiBinary, Text, Dict and Tuple has such values.
    """
    try:
        described = json.loads(description) if description else None
    except ValueError:  # a program of somebody else's
        described = None
    return _space(described, node_of(layout), "")


def _space(described: object, node: Node, where: str) -> Space:
    facts: Mapping[str, Any] = described if isinstance(described, Mapping) else {}
    if node.parts is not None:
        return _inner(facts.get("spaces"), node, where)
    if node.dtype not in (*NUMERIC_DTYPES, TEXT) or is_ragged(node.shape) or 0 in node.shape:
        raise InvalidValue(f"{where or 'they'} {_said(node)}")
    try:
        found = _leaf(facts)
    except (KeyError, TypeError, ValueError, AssertionError, OverflowError):  # it contradicts itself
        found = None
    if found is not None and _fits(found, node):
        return found
    if node.dtype == TEXT:
        raise InvalidValue(f"{where or 'they'} are text of no described space (Recorder takes observation_space=)")
    dtype = np.dtype(node.dtype)
    low, high = (np.full(node.shape, bound, dtype) for bound in _bounds(dtype))
    return spaces.Box(low, high, node.shape, dtype.type)


def _said(node: Node) -> str:
    if is_ragged(node.shape):
        return "are arrays of changing length"
    if 0 in node.shape:
        return "are arrays without a number in them"
    return f"are recorded as {node.dtype or 'nothing'}"


def _inner(described: object, node: Node, where: str) -> Space:
    parts = named_parts(node)
    if node.keys is None:
        given: Mapping[Any, Any] = dict(enumerate(described)) if isinstance(described, list) else {}
        return spaces.Tuple([_space(given.get(i), part, f"{where}[{i}]") for i, (_, part) in enumerate(parts)])
    given = described if isinstance(described, Mapping) else {}
    return spaces.Dict({name: _space(given.get(name), part, f"{where}[{name!r}]") for name, part in parts})


def _leaf(facts: Mapping[str, Any]) -> Space | None:
    match facts.get("type"):
        case "Box":
            dtype, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
            low, high = (np.broadcast_to(np.asarray(facts[name], dtype), shape).copy() for name in ("low", "high"))
            return spaces.Box(low, high, shape, dtype.type)
        case "Discrete":
            return spaces.Discrete(facts["n"], start=facts["start"])
        case "MultiDiscrete":
            return spaces.MultiDiscrete(facts["nvec"], np.dtype(facts["dtype"]).type, start=facts["start"])
        case "MultiBinary":
            shape = tuple(facts["shape"])
            return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
        case "Text":
            characters = {"charset": facts["characters"]} if "characters" in facts else {}
            return spaces.Text(facts["max_length"], min_length=facts["min_length"], **characters)
    return None


def _fits(space: Space, node: Node) -> bool:
    """Return whether values of a leaf have the dtype and shape of a space."""
    if isinstance(space, spaces.Text):
        return node.dtype == TEXT
    return node.dtype in NUMERIC_DTYPES and space.dtype == np.dtype(node.dtype) and space.shape == node.shape


def _bounds(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    if dtype.kind == "b":
        return False, True
    info = np.iinfo(dtype)
    return info.min, info.max
