"""Cuts texts of run events to a size: the start and the end of a stream are recorded, however much is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import accumulate
from typing import TypeVar

from runbus.schemas.events import RunEvent

T = TypeVar("T")

#: The bytes that one field of a run event may have: all eight together fit into one Kafka record.
FIELD_BYTES = 448 * 1024
#: The same on a broker whose topic takes only small records.
SMALL_BYTES = 8 * 1024


def json_within(text: str, most: int = FIELD_BYTES) -> str:
    """Return JSON text of at most `most` bytes: the largest values of an object give way to `{"left_out_bytes": n}`.

    What is no JSON is cut like any text.
    """
    if len(text) <= most // 4 or _size_of(text) <= most:
        return text
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text_within(text, most)
    if isinstance(document, dict):
        sizes = {key: _size_of(_dumped(value)) for key, value in document.items()}
        total = _size_of(_dumped(document))
        for key in sorted(sizes, key=lambda name: sizes[name], reverse=True):
            document[key] = _left_out(sizes[key])
            total += _size_of(_dumped(document[key])) - sizes[key]
            if total <= most:
                return _dumped(document)
    return _dumped(_left_out(_size_of(text)))


def text_within(text: str, most: int = FIELD_BYTES) -> str:
    """Return the beginning of a text, at most `most` bytes with the note that says so."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most:
        return text
    note = f" ... ({len(raw)} bytes in all)"
    return raw[: most - len(note)].decode("utf-8", "ignore") + note


def run_event_within(event: RunEvent, most: int = FIELD_BYTES) -> RunEvent:
    """Return a run event whose fields have at most `most` bytes each.

    Labels, tags and logged numbers are kept in their order until no more fit; the run keeps the others' summary.
    """
    return replace(
        event,
        config=json_within(event.config, most),
        observation_space=json_within(event.observation_space, most),
        action_space=json_within(event.action_space, most),
        summary=json_within(event.summary, most),
        error=text_within(event.error, most),
        labels=dict(_first(event.labels.items(), lambda label: _size_of(label[0]) + _size_of(label[1]), most)),
        tags=_first(event.tags, _size_of, most),
        logged=dict(_first(event.logged.items(), lambda named: _size_of(named[0]) + 8 * len(named[1]), most)),
    )


def _first(parts: Iterable[T], size_of: Callable[[T], int], most: int) -> list[T]:
    """Return the first parts that have at most `most` bytes together."""
    kept = list(parts)
    ends = accumulate(size_of(part) + 16 for part in kept)
    return [part for part, end in zip(kept, ends, strict=True) if end <= most]


def _left_out(size: int) -> dict[str, int]:
    return {"left_out_bytes": size}


def _size_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
