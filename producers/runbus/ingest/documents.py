"""Reads the JSON objects of a line, as machines and people write them: NaN, two on a line, NULs around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from runbus.config.errors import InvalidValue

_DECODER = json.JSONDecoder(strict=False)  # a control character inside of a text is what somebody printed
_SPACE = " \t\r\n\x00"
_DEEPEST = 200  # what is nested deeper is no record of a step, and would end the interpreter's stack


class Malformed(InvalidValue):
    """A line, or a part of it, that is no JSON object, or one that its dialect cannot read."""


class Documents(NamedTuple):
    """What is on a line: its objects, and what is wrong with the rest; "" = nothing."""

    found: list[Mapping[str, Any]]
    wrong: str = ""


def is_text(data: bytes) -> bool:
    """Return whether a line does not even begin like a JSON object: a log line, a print of the training script."""
    return not data.lstrip().startswith(b"{")


def documents_of(data: bytes) -> Documents:
    """Return the JSON objects of a line, in order. Never raises.

    NaN, Infinity and -Infinity are numbers; of a name that comes twice in an object the last one counts.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return Documents([], f"it is no UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}")
    found: list[Mapping[str, Any]] = []
    at = _behind_space(text, 0)
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            return Documents(found, f"it is no JSON: {error.msg} at character {error.pos}")
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
            return Documents(found, f"it cannot be read as JSON: {error}")
        if not isinstance(value, dict):
            return Documents(found, f"it is a JSON {type(value).__name__}, not an object")
        if _depth(value) > _DEEPEST:
            return Documents(found, f"it is nested deeper than {_DEEPEST}")
        found.append(value)
        at = _behind_space(text, at)
    return Documents(found)


def _behind_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _depth(value: object) -> int:
    """Return how deep a value is nested; without recursion."""
    level, depth = [value], 0
    while level := [
        part
        for one in level
        if isinstance(one, (dict, list))
        for part in (one.values() if isinstance(one, dict) else one)
        if isinstance(part, (dict, list))
    ]:
        depth += 1
    return depth
