"""Reads what dialects share: wall times, numbers and texts of documents by other people's programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from runbus.config.errors import InvalidValue
from runbus.ingest.documents import Malformed
from runbus.kafka.topics import check_id

_EXACT = 2**53  # integers beyond are not all float64
_YEAR_2300_S = 10_413_792_000


def seconds_us(value: object) -> int | None:
    """Return a wall time in seconds since the epoch as microseconds; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return round(value * 1_000_000) if 0 < value < _YEAR_2300_S else None


def nanoseconds_us(value: object) -> int | None:
    """Return a wall time in nanoseconds since the epoch as microseconds, likewise."""
    number = whole(value)
    return number // 1000 if number is not None and 0 < number < _YEAR_2300_S * 10**9 else None


def iso_us(value: object) -> int | None:
    """Return a wall time in ISO 8601, UTC if it has no zone, as microseconds, likewise."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    delta = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def time_us(value: object) -> int | None:
    """Return a wall time in ISO 8601 or in seconds, likewise."""
    return iso_us(value) if isinstance(value, str) else seconds_us(value)


def whole(value: object) -> int | None:
    """Return an integer, also as text of digits or as a float without a fraction; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < 100:
        return int(value)
    return None


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """Return a value that must be an object; an absent one is empty. Raises Malformed."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Malformed(f"{name} is a {type(value).__name__}, not an object")
    return value


def objects(value: object, name: str) -> list[Mapping[str, Any]]:
    """Return a value that must be a list of objects; an absent one is empty. Raises Malformed."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        raise Malformed(f"{name} is no list of objects")
    return value


def inner_json(value: object) -> object:
    """Return the value of JSON inside of a text; a text that is none stays a text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def apart(fields: Iterable[tuple[str, Any]]) -> tuple[list[tuple[str, float]], dict[str, Any]]:
    """Return named values as numbers that float64 holds exactly, and the others. None is left out."""
    numbers: list[tuple[str, float]] = []
    others: dict[str, Any] = {}
    for name, value in fields:
        if isinstance(value, float) or (
            isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT
        ):
            numbers.append((name, float(value)))
        elif value is not None:
            others[name] = value
    return numbers, others


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a document without some of its fields."""
    return {name: value for name, value in document.items() if name not in names}


def text_of(value: object) -> str:
    """Return a text, or a number as text; "" for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def flag(value: object) -> bool:
    """Return whether a flag is set, also as text."""
    return value.strip().lower() in ("true", "1", "yes") if isinstance(value, str) else bool(value)


def id_of(value: object) -> str:
    """Return the name of a run or an agent as RunBus takes it, with `:` for `/`; "" if there is none.

    Raises Malformed if it is no name.
    """
    name = text_of(value).replace("/", ":")
    if name:
        try:
            check_id("its name", name)
        except InvalidValue as error:
            raise Malformed(str(error)) from error
    return name
