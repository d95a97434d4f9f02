"""Writes and reads the headers of dead letters, for every component that gives a record up or finds one.

The value of a dead letter is the bytes that could not be used, as they were, so everything else is in its headers, as
text (docs/sink.md lists them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from runbus.kafka.topics import DEAD_LETTER_BYTES

Headers = tuple[tuple[str, bytes], ...]

#: Header of a batch that a journal sends without knowing whether the log has it already.
RESENT = "runbus-resent"

#: What is kept of a value that no letter can hold: enough to see what it was.
START_BYTES = 64 * 1024
# A header may be as large as the key of its record, an error as its text.
_HEADER_BYTES = 4 * 1024
# For a letter's key and the record batch around it.
_ROOM = 64 * 1024

_DIGITS = re.compile(rb"\d{1,19}")
INT32, INT64 = 2**31 - 1, 2**63 - 1
#: a number that a letter does not say
NONE = -1


def position_key(topic: str, partition: int, offset: int) -> str:
    """Return the key of a letter about a record of the log."""
    return f"{topic}-{partition}-{offset}"


def letter_headers(component: str, topic: str, error: str, **more: object) -> Headers:
    """Return the headers of a letter.

    Args:
        component: kind of the component that gives the record up, as in its heartbeats.
        topic: of the record, or the one that it should have gone to.
        error: why.
        more: further headers by name; bytes stay as they are, None is left out.
    """
    found = {"component": component, "topic": topic, "error": error, **more}
    return tuple((name, _bytes(value)) for name, value in found.items() if value is not None)


def shortened(value: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Return the start of a value that no letter can hold, and headers with `size` and `sha256` of the whole value."""
    cut = tuple((name, header[:_HEADER_BYTES]) for name, header in headers)
    whole = (("size", str(len(value)).encode()), ("sha256", sha256(value).hexdigest().encode()))
    return value[:START_BYTES], cut + whole


def fitting(value: bytes | None, headers: Headers) -> tuple[bytes | None, Headers]:
    """Return value and headers of a letter as the topic takes them: whole, if they fit."""
    size = len(value or b"") + sum(len(name) + len(header) for name, header in headers)
    return (value, headers) if size <= DEAD_LETTER_BYTES - _ROOM else shortened(value or b"", headers)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def text_of(headers: Mapping[str, bytes], name: str) -> str:
    """Return a header as text; "" if it is missing."""
    return headers.get(name, b"").decode("utf-8", "replace")


def number_of(headers: Mapping[str, bytes], name: str, most: int) -> int:
    """Return a header's number from 0 to `most`, else -1."""
    text = headers.get(name, b"")
    number = int(text) if _DIGITS.fullmatch(text) else NONE
    return number if number <= most else NONE


def position_of(headers: Mapping[str, bytes]) -> tuple[int, int]:
    """Return partition and offset of the record that a letter is about; (-1, -1) unless it says topic and both."""
    partition, offset = number_of(headers, "partition", INT32), number_of(headers, "offset", INT64)
    return (partition, offset) if headers.get("topic") and partition >= 0 and offset >= 0 else (NONE, NONE)
