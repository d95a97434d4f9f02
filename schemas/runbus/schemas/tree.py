"""Encodes Dict and Tuple values as one row of bytes: the parts one after another, in the order of the struct's text.

The text is JSON: `["dict", [[key, node], ...]]`, `["tuple", [node, ...]]` or a leaf, `[dtype, shape]`. A part of
variable width (text, JSON, a ragged array) has its length in front, uint32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas.leaf import VARIABLE, Shape, decode_leaf, encode_leaf, leaf_of, leaf_width

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
    """Return whether a value contains a numpy array or scalar. Raises InvalidValue if it is nested too deep."""
    if isinstance(value, (np.ndarray, np.generic)):
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
    if isinstance(value, (tuple, list)):
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
    return Node(leaf_width(kind, tuple(content)), kind, tuple(content))


def _build_dict(content: list[Any], depth: int) -> Node:
    pairs = [p for p in content if isinstance(p, list) and len(p) == 2 and isinstance(p[0], str)]
    keys = tuple(p[0] for p in pairs)
    if len(pairs) != len(content) or len(set(keys)) != len(keys):
        raise InvalidValue(f"not a struct layout: {str(content)[:200]}")
    return _inner([_build(part, depth + 1) for _, part in pairs], keys)


def _inner(parts: list[Node], keys: tuple[str, ...] | None) -> Node:
    widths = [part.width for part in parts]
    return Node(VARIABLE if VARIABLE in widths else sum(widths), parts=tuple(parts), keys=keys)


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
