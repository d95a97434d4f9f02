"""Reads what a loop passes as metrics: names, numbers and texts, out of nested dicts, tensors and the like."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterator, Mapping
from time import time_ns
from typing import Any, NamedTuple

import numpy as np

from runbus.recorder.reading import text_of_object
from runbus.recorder.row_words import LeaveOut, plain_text, shown
from runbus.recorder.values import number
from runbus.schemas.metric_batch import NO_POSITION
from runbus.schemas.strict_json import utf8_text

MAX_TEXT_BYTES = 64 * 1024  # of one text; the rest is cut
_MAX_DEPTH = 20  # of nested dicts
#: types whose values an array of doubles takes as they are
_PLAIN = frozenset(
    [float, int, bool, np.bool_, np.float64, np.float32, np.float16, np.int64, np.int32, np.uint64, np.uint32]
)
_TIMES = range(2**63)  # to the year 2262
_POSITIONS = range(NO_POSITION + 1, 2**63)


class NamedValues(NamedTuple):
    """Values and their names, in the order in which they were given.

    Attributes:
        names: as many as numbers; texts, or whatever the caller has for one.
        numbers: NaN where there is a text.
        texts: by index.
    """

    names: tuple[Any, ...]
    numbers: array[float]
    texts: Mapping[int, str] = {}


def named_values(values: Mapping[Any, Any], leave_out: LeaveOut) -> NamedValues:
    """Return the values of a mapping; nested ones under names with "/" between them, a text as a text.

    None, and what is neither number nor text, is left out by itself. Raises whatever `values` raises if it is no
    mapping.
    """
    plain = _all_plain(values)
    if plain is not None:
        return plain
    names: list[str] = []
    numbers = array("d")
    texts: dict[int, str] = {}
    for name, value in _flat(values, "", _MAX_DEPTH, leave_out):
        try:
            if isinstance(value, str):
                texts[len(names)] = text_within_limit(value, leave_out)
                numbers.append(np.nan)
            else:
                numbers.append(number(value))
        except Exception as error:  # noqa: BLE001 - whatever the caller calls a number
            leave_out("metrics", f"{shown(name)}: {error}. Pass numbers and texts, one a name")
        else:
            names.append(name)
    return NamedValues(tuple(names), numbers, texts)


def _all_plain(values: Mapping[Any, Any]) -> NamedValues | None:
    """Return the values if all are numbers of Python or numpy: what nearly every call is."""
    if type(values) is not dict or not _PLAIN.issuperset(map(type, values.values())):
        return None
    try:
        return NamedValues(tuple(values), array("d", values.values()))
    except (OverflowError, ValueError):  # an integer that no float holds, or the dict grows meanwhile
        return None


def _flat(values: Mapping[Any, Any], prefix: str, depth: int, leave_out: LeaveOut) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = prefix + (key if type(key) is str else text_of_object(key))
        if value is None:
            leave_out("metrics", f"{shown(name)} is None")
        elif not isinstance(value, Mapping):
            yield name, value
        elif depth:
            yield from _flat(value, f"{name}/", depth - 1, leave_out)
        else:
            leave_out("metrics", f"{shown(name)} is nested more than {_MAX_DEPTH} deep")


def name_of(name: object, leave_out: LeaveOut) -> str:
    """Return a name as it is recorded, as text; an empty one is left out. Never raises."""
    text = plain_text(name, "metrics", leave_out)
    if not text:
        leave_out("metrics", "a name is empty")
    return text


def position_of(step: Any, leave_out: LeaveOut) -> int:  # noqa: ANN401 - an integer of any type
    """Return a position on an axis; NO_POSITION if there is none. Never raises."""
    if step is None:
        return NO_POSITION
    try:
        whole = int(step) if isinstance(step, float) and step.is_integer() else operator.index(step)
    except Exception:  # noqa: BLE001 - whatever the caller gave
        whole = NO_POSITION
    if whole in _POSITIONS:
        return whole
    leave_out("metrics step", f"step={shown(step)} is no whole number of 64 bits: the values are recorded without it")
    return NO_POSITION


def nanoseconds_of(time: float | None, leave_out: LeaveOut) -> int:
    """Return a time of the user, seconds since the epoch, in nanoseconds; now, if there is none. Never raises."""
    now = time_ns()
    if time is None:
        return now
    try:
        found = round(time * 1e6) * 1000  # of a float more is noise
    except Exception:  # noqa: BLE001 - whatever the caller gave
        found = -1
    if found in _TIMES:
        return found
    leave_out("metrics time", f"time={shown(time)} is no time in seconds since 1970: the values have that of the call")
    return now


def text_within_limit(text: str, leave_out: LeaveOut) -> str:
    """Return a text as UTF-8 can say it, cut to MAX_TEXT_BYTES."""
    said = utf8_text(str(text))
    raw = said.encode()
    if len(raw) <= MAX_TEXT_BYTES:
        return said
    leave_out("metrics text", f"a text of {len(raw)} bytes is cut to {MAX_TEXT_BYTES}")
    return raw[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
