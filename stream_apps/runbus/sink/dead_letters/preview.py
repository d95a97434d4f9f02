"""Shows a value: its first bytes as hexadecimal and text, and what of it can be decoded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runbus.config.errors import RunBusError
from runbus.schemas.batches import BATCHES
from runbus.schemas.codec import Codec
from runbus.sink import values
from runbus.sink.api import Route
from runbus.sink.records import read

PREVIEW_BYTES = 256
_LINE = 16


def hexdump(value: bytes, most: int = PREVIEW_BYTES) -> list[str]:
    """Return lines of an offset, 16 bytes, and the same as text; a byte that is not printable ASCII is a dot."""
    lines = []
    for at in range(0, min(len(value), most), _LINE):
        piece = value[at : min(at + _LINE, most)]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
        lines.append(f"{at:06x}  {piece.hex(' '):<{3 * _LINE}} {text}")
    return lines


def as_text(value: bytes, most: int = PREVIEW_BYTES) -> str:
    """Return the beginning as UTF-8, other bytes as replacement characters."""
    return value[:most].decode("utf-8", "replace")


def decoded(value: bytes | None, route: Route | None, codec: Codec) -> tuple[dict[str, Any], str]:
    """Return the fields of a value, and its error ("" = none).

    Of a batch they are the header, which may be readable if the rest is not; of an event they are all of it.

    Args:
        value: of the record.
        route: of its topic, or None if that is not stored.
        codec: with the registry, if one is set.
    """
    if route is None:
        return {}, "its topic is not one that is stored"
    record = read(0, None, value, 0, batched=route.batched)
    found: dict[str, Any] = {}
    try:
        writer = codec.resolve(values.named(record))
        values.expect(route, writer)
        if route.batched:
            found = asdict(BATCHES[route.schema].decode_header(values.body(record), writer))  # type: ignore[call-overload]  # a dataclass
            values.check(route, record, writer)
        else:
            found = asdict(values.event(route, record, writer))  # type: ignore[arg-type]  # every event is a dataclass
    except RunBusError as error:
        return found, str(error)
    return found, ""
