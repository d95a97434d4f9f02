"""Writes JSON that every parser reads. What JSON has no word for is replaced, as docs/recorder.md says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np

MAX_DEPTH = 100  # parsers stop at some depth, each at another: ClickHouse's at 1024, Python's near 1000
TOO_DEEP = "(nested deeper than 100 levels)"
CONTAINS_ITSELF = "(contains itself)"
_WHOLE = range(-(2**63), 2**64)  # what every parser takes for a whole number; past it some refuse the document


def strict_json(value: object, unknown: Callable[[Any], object]) -> str:
    """Return `value` as strict JSON, valid UTF-8 without half surrogate pairs.

    NaN and infinities become their names, whole numbers past 64 bits their digits as text, half a surrogate pair its
    escape spelled out, keys text (the second of two equal ones gets ` (2)`), sets and arrays lists, bytes text. What
    lies deeper than MAX_DEPTH, or contains itself, becomes a remark.

    Args:
        value: anything.
        unknown: returns what stands for an object that is none of these; may raise.
    """
    return json.dumps(_Saying(unknown).said(value, 0), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def utf8_text(text: str) -> str:
    r"""Return `text` as UTF-8 can say it: half a surrogate pair becomes six characters, `\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def number_name(value: float) -> float | str:
    """Return what JSON can carry: the number, or its name if JSON has none (`NaN`, `Infinity`, `-Infinity`)."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class _Saying:
    """Turns a value into one of JSON's own, with the containers that are open around it."""

    def __init__(self, unknown: Callable[[Any], object]) -> None:
        self._unknown = unknown
        self._open: set[int] = set()

    def said(self, value: Any, depth: int) -> object:  # noqa: ANN401 - anything
        kind = type(value)
        if kind is str:
            return utf8_text(value)
        if value is None or kind is bool:
            return value
        if isinstance(value, int):
            return _whole(int(value))
        if isinstance(value, float):
            return number_name(float(value))
        if isinstance(value, str):
            return utf8_text(str.__str__(value))
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "backslashreplace")
        return self._nested(value, depth)

    def _nested(self, value: Any, depth: int) -> object:  # noqa: ANN401
        if depth > MAX_DEPTH:
            return TOO_DEEP
        if id(value) in self._open:
            return CONTAINS_ITSELF
        self._open.add(id(value))
        try:
            return self._parts(value, depth)
        finally:
            self._open.discard(id(value))

    def _parts(self, value: Any, depth: int) -> object:  # noqa: ANN401
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, (list, tuple)):
            return [self.said(part, depth + 1) for part in value]
        if isinstance(value, np.ndarray):
            return self.said(value.tolist(), depth)
        if isinstance(value, np.generic):
            item = value.item()
            return str(item) if isinstance(item, np.generic) else self.said(item, depth)
        if isinstance(value, (set, frozenset)):
            return [self.said(part, depth + 1) for part in sorted(value, key=repr)]
        return self.said(self._unknown(value), depth + 1)

    def _object(self, value: Mapping[Any, Any], depth: int) -> dict[str, object]:
        parts: dict[str, object] = {}
        for key, part in value.items():
            name = utf8_text(key) if type(key) is str else self._key(key)
            parts[free_name(name, parts)] = self.said(part, depth + 1)
        return parts

    def _key(self, key: object) -> str:
        if isinstance(key, str):
            return utf8_text(str.__str__(key))
        if key is None or isinstance(key, (bool, int, float)):
            said = self.said(key, 0)
            return said if isinstance(said, str) else json.dumps(said)
        return utf8_text(str(key))


def _whole(value: int) -> int | str:
    if value in _WHOLE:
        return value
    try:
        return str(value)
    except ValueError:  # Python writes no more than 4,300 digits
        return hex(value)


def free_name(name: str, taken: Container[str]) -> str:
    """Return `name`, or `name (2)`, `name (3)`, ...: the first that is not taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found
