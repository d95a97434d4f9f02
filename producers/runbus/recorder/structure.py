"""Says what values of a space look like, as its JSON description has it: no Gymnasium is needed to read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runbus.schemas.layout import JSON, NUMERIC_DTYPES, STRUCT, TEXT, Layout
from runbus.schemas.leaf import Shape
from runbus.schemas.tree import Node, parse

_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Structure:
    """What a value is: numbers, text or JSON data (dtype, shape), a dict (keys and parts), a tuple (parts only).

    Attributes:
        dtype: as in a layout; empty = the value decides.
        shape: of the numbers.
        keys, parts: of a dict or tuple.
        unlike: a space gives values of several shapes (Sequence, Graph, OneOf, ...).
    """

    dtype: str = ""
    shape: Shape = ()
    keys: tuple[str, ...] | None = None
    parts: tuple[Structure, ...] | None = None
    unlike: bool = field(default=False, compare=False)

    @property
    def varies(self) -> bool:
        """True if it is in the nature of these values, or of a part of them, to have another layout each time."""
        return self.unlike or any(part.varies for part in self.parts or ())

    @property
    def numeric(self) -> bool:
        """True if it is numbers of one dtype and shape."""
        return self.dtype in NUMERIC_DTYPES


FREE = Structure()


def structure_of_space(description: str) -> Structure:
    """Return what the values of a described space look like: see `runbus.gymnasium.space_json`.

    `{"type": "Box", "shape": [4], "dtype": "float32"}`, `{"type": "Text"}`, `{"type": "Dict", "spaces": {...}}`,
    `{"type": "Tuple", "spaces": [...]}`. Of any other description the values decide.
    """
    try:
        return _of_description(json.loads(description), 0) if description else FREE
    except (ValueError, TypeError, RecursionError):
        return FREE


def _of_description(space: Any, depth: int) -> Structure:  # noqa: ANN401 - whatever JSON says
    if not isinstance(space, Mapping) or depth > _MAX_DEPTH:
        return FREE
    parts = space.get("spaces")
    if isinstance(parts, Mapping):
        inner = tuple(_of_description(part, depth + 1) for part in parts.values())
        return Structure(keys=tuple(parts), parts=inner)
    if isinstance(parts, list) and space.get("type") == "Tuple":
        return Structure(parts=tuple(_of_description(part, depth + 1) for part in parts))
    dtype, shape = space.get("dtype"), space.get("shape")
    if space.get("type") == "Text" or dtype == "str":
        return Structure(TEXT)
    if not isinstance(dtype, str) or not isinstance(shape, list):
        return Structure(unlike=True)
    name = np.dtype(dtype).newbyteorder("<").str
    return Structure(name, tuple(int(n) for n in shape)) if name in NUMERIC_DTYPES else FREE


def structure_of_layout(layout: Layout) -> Structure:
    """Return what values of a layout look like; FREE if it has none."""
    if layout.dtype.startswith(STRUCT):
        return _of_node(parse(layout.dtype[len(STRUCT) :]))
    return _of_leaf(layout.dtype, layout.shape)


def _of_node(node: Node) -> Structure:
    if node.parts is None:
        return _of_leaf(node.dtype, node.shape)
    return Structure(keys=node.keys, parts=tuple(_of_node(part) for part in node.parts))


def _of_leaf(dtype: str, shape: Shape) -> Structure:
    return Structure(dtype, shape) if dtype in NUMERIC_DTYPES or dtype in (TEXT, JSON) else FREE


def widened(space: Structure, seen: Structure) -> Structure:
    """Return the space with the dtypes that were seen, where both are numbers of one shape; else as the space is."""
    if space.numeric:
        return seen if seen.numeric and seen.shape == space.shape else space
    if space.parts is None or seen.parts is None or seen.keys != space.keys or len(seen.parts) != len(space.parts):
        return space
    pairs = zip(space.parts, seen.parts, strict=True)
    return Structure(keys=space.keys, parts=tuple(widened(of_space, of_value) for of_space, of_value in pairs))


def matches(space: Structure, seen: Structure) -> bool:
    """Return whether values are as their space says, whatever the dtype of their numbers."""
    if space in (FREE, seen) or space.parts == ():
        return True
    if space.numeric:
        return seen.numeric and seen.shape == space.shape
    if space.parts is None or seen.parts is None or seen.keys != space.keys or len(seen.parts) != len(space.parts):
        return False
    return all(matches(of_space, of_value) for of_space, of_value in zip(space.parts, seen.parts, strict=True))


def remembered(before: Structure, seen: Structure) -> Structure:
    """Return what was seen, and where that says nothing (a part that is absent now) what was known before."""
    if seen == FREE:
        return before
    if seen.parts is None or before.parts is None or seen.keys != before.keys or len(seen.parts) != len(before.parts):
        return seen
    pairs = zip(before.parts, seen.parts, strict=True)
    return Structure(keys=seen.keys, parts=tuple(remembered(old, new) for old, new in pairs))
