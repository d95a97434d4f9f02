"""Encodes Dict and Tuple values as one row of bytes: the parts one after another, in the order of the struct's text.

The text is JSON: `["dict", [[key, node], ...]]`, `["tuple", [node, ...]]` or a leaf, `[dtype, shape]`. A part of
variable width (text, JSON, a ragged array) has its length in front, uint32. A part that is not recorded takes no
bytes; its leaf is `["omitted:" and the dtype, shape]`. Readers before it had none, and refuse such a text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas.leaf import (
    OMITTED,
    VARIABLE,
    Omitted,
    Shape,
    as_array,
    decode_leaf,
    encode_leaf,
    leaf_of,
    part_width,
)

MAX_DEPTH = 100
MAX_TEXT = 65_536  # characters of a struct's text; it is repeated in every batch


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a struct: a leaf (dtype and shape), a dict (keys and parts) or a tuple (parts, keys None)."""

    width: int
    dtype: str = ""
    shape: Shape = ()
    parts: tuple[Node, ...] | None = None
    keys: tuple[str, ...] | None = None


# --- from a value to its text ---------------------------------------------------------------------------------


def has_arrays(value: object, depth: int = 0) -> bool:
    """Return whether a value has a numpy array or scalar in it, or an omitted part.

    Raises InvalidValue if it is nested too deep.
    """
    if isinstance(value, (np.ndarray, np.generic, Omitted)):
        return True
    if not isinstance(value, (Mapping, tuple, list)):
        return False
    if depth >= MAX_DEPTH:
        raise InvalidValue(f"a value is nested deeper than {MAX_DEPTH} levels")
    return any(has_arrays(v, depth + 1) for v in (value.values() if isinstance(value, Mapping) else value))


def text_of(value: object) -> str:
    """Return the struct's text of a Mapping, tuple or list. Raises InvalidValue for what no leaf can hold."""
    text = json.dumps(_spec_of(value), separators=(",", ":"))
    if len(text) > MAX_TEXT:
        raise InvalidValue(f"a value has too many parts to describe: {len(text)} characters, at most {MAX_TEXT}")
    return text


def _spec_of(value: object, depth: int = 0) -> list[Any]:
    if depth > MAX_DEPTH:
        raise InvalidValue(f"a value is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, (tuple, list)) and as_array(value) is None:
        return ["tuple", [_spec_of(v, depth + 1) for v in value]]
    if isinstance(value, Mapping):
        if len({str(key) for key in value}) != len(value):
            raise InvalidValue(f"two keys have the same text: {sorted(map(str, value))}")
        return ["dict", [[str(key), _spec_of(v, depth + 1)] for key, v in value.items()]]
    dtype, shape = leaf_of(value)
    return [dtype, list(shape)]


# --- from the text to a node ----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def parse(text: str) -> Node:
    """Return the node of a struct's text. Raises InvalidValue if it is not one: it may come from any program."""
    if len(text) > MAX_TEXT:
        raise InvalidValue(f"a struct layout of {len(text)} characters: at most {MAX_TEXT}")
    try:
        return _build(json.loads(text), 0)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"not a struct layout: {text[:200]!r}") from error


def _build(spec: object, depth: int) -> Node:
    if not isinstance(spec, list) or len(spec) != 2 or not isinstance(spec[0], str) or not isinstance(spec[1], list):
        raise InvalidValue(f"not a struct layout: {str(spec)[:200]}")
    if depth > MAX_DEPTH:
        raise InvalidValue(f"a struct layout is nested deeper than {MAX_DEPTH} levels")
    kind, content = spec
    if kind == "dict":
        return _build_dict(content, depth)
    if kind == "tuple":
        return _inner([_build(part, depth + 1) for part in content], None)
    if not all(type(n) is int for n in content):
        raise InvalidValue(f"not a struct layout: {str(spec)[:200]}")
    return Node(part_width(kind, tuple(content)), kind, tuple(content))


def _build_dict(content: list[Any], depth: int) -> Node:
    pairs = [p for p in content if isinstance(p, list) and len(p) == 2 and isinstance(p[0], str)]
    keys = tuple(p[0] for p in pairs)
    if len(pairs) != len(content) or len(set(keys)) != len(keys):
        raise InvalidValue(f"not a struct layout: {str(content)[:200]}")
    return _inner([_build(part, depth + 1) for _, part in pairs], keys)


def _inner(parts: list[Node], keys: tuple[str, ...] | None) -> Node:
    widths = [part.width for part in parts]
    return Node(VARIABLE if VARIABLE in widths else sum(widths), parts=tuple(parts), keys=keys)


def text_of_node(node: Node) -> str:
    """Return the struct's text of a node: `parse` gives an equal one back."""
    return json.dumps(_spec_of_node(node), separators=(",", ":"))


def _spec_of_node(node: Node) -> list[Any]:
    if node.parts is None:
        return [node.dtype, list(node.shape)]
    specs = [_spec_of_node(part) for part in node.parts]
    if node.keys is None:
        return ["tuple", specs]
    return ["dict", [list(pair) for pair in zip(node.keys, specs, strict=True)]]


def leaves(node: Node) -> list[Node]:
    """Return the leaves of a node, in order."""
    return [node] if node.parts is None else [leaf for part in node.parts for leaf in leaves(part)]


def without(node: Node, omitted: Collection[int]) -> Node:
    """Return the node with these of its leaves (by their index in `leaves`) not recorded."""
    return _without(node, omitted, count())


def _without(node: Node, omitted: Collection[int], index: Iterator[int]) -> Node:
    if node.parts is not None:
        return _inner([_without(part, omitted, index) for part in node.parts], node.keys)
    if next(index) not in omitted or node.dtype.startswith(OMITTED) or not node.dtype:
        return node
    return Node(0, OMITTED + node.dtype, node.shape)


# --- one value ------------------------------------------------------------------------------------------------


def encode(node: Node, value: object) -> bytes:
    """Return the bytes of `value`. Raises InvalidValue if it is not of this struct."""
    if node.parts is None:
        raw = encode_leaf(node.dtype, node.shape, value)
        return len(raw).to_bytes(4, "little") + raw if node.width == VARIABLE else raw
    values: list[object] | None = None
    if node.keys is None and isinstance(value, (tuple, list)):
        values = list(value)
    elif node.keys is not None and isinstance(value, Mapping):
        named = {str(key): v for key, v in value.items()}
        values = [named[key] for key in node.keys if key in named] if len(named) == len(value) else None
    if values is None or len(values) != len(node.parts) or len(values) != len(value):  # type: ignore[arg-type]
        raise InvalidValue(f"a {type(value).__name__} does not have the {len(node.parts)} parts of its layout")
    return b"".join([encode(part, v) for part, v in zip(node.parts, values, strict=True)])


def decode(node: Node, raw: bytes) -> Any:  # noqa: ANN401 - dict or tuple of anything
    """Return the dict or tuple of `raw`. Raises InvalidValue if its length is not that of one value."""
    value, rest = _decode(node, memoryview(raw))
    if rest:
        raise InvalidValue(f"{len(rest)} bytes too many in a struct value")
    return value


def _decode(node: Node, raw: memoryview) -> tuple[Any, memoryview]:
    if node.parts is not None:
        values = []
        for part in node.parts:
            value, raw = _decode(part, raw)
            values.append(value)
        return (tuple(values) if node.keys is None else dict(zip(node.keys, values, strict=True))), raw
    start, end = 0, node.width
    if node.width == VARIABLE:
        start, end = 4, 4 + int.from_bytes(raw[:4], "little")
    if end > len(raw) or start > len(raw):
        raise InvalidValue("a struct value is cut short")
    return decode_leaf(node.dtype, node.shape, bytes(raw[start:end])), raw[end:]
