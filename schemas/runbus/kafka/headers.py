"""Writes the headers of dead letters, for every component that gives a record up.

The value of a dead letter is the bytes that could not be used, as they were, so everything else is in its headers, as
text (docs/sink.md lists them).
"""

from __future__ import annotations

from hashlib import sha256

from runbus.kafka.topics import DEAD_LETTER_BYTES

Headers = tuple[tuple[str, bytes], ...]

#: What is kept of a value that no letter can hold: enough to see what it was.
START_BYTES = 64 * 1024
# A header may be as large as the key of its record, an error as its text.
_HEADER_BYTES = 4 * 1024
# For a letter's key and the record batch around it.
_ROOM = 64 * 1024


def position_key(topic: str, partition: int, offset: int) -> str:
    """Return the key of a letter about a record of the log."""
    return f"{topic}-{partition}-{offset}"


def letter_headers(component: str, topic: str, error: str, **more: object) -> Headers:
    """Return the headers of a letter.

    Args:
        component: kind of the one who gives the record up, as in its heartbeats.
        topic: where the record is from, or should have gone.
        error: why.
        more: further headers by name; bytes stay as they are, None is left out.
    """
    found = {"component": component, "topic": topic, "error": error, **more}
    return tuple((name, _bytes(value)) for name, value in found.items() if value is not None)


def shortened(value: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Return the start of a value that no letter can hold, and headers with `size` and `sha256` of all of it."""
    cut = tuple((name, header[:_HEADER_BYTES]) for name, header in headers)
    whole = (("size", str(len(value)).encode()), ("sha256", sha256(value).hexdigest().encode()))
    return value[:START_BYTES], cut + whole


def fitting(value: bytes | None, headers: Headers) -> tuple[bytes | None, Headers]:
    """Return value and headers of a letter as the topic takes them: whole wherever that is possible."""
    size = len(value or b"") + sum(len(name) + len(header) for name, header in headers)
    return (value, headers) if size <= DEAD_LETTER_BYTES - _ROOM else shortened(value or b"", headers)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
