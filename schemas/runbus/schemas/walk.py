"""Checks one Avro record byte by byte, before it is decoded.

fastavro's reader takes what Avro does not allow, and what ClickHouse's reader refuses: a varint of any length (its high
bits fall off), a boolean that is 7, a negative enum index. Of a map with a key twice it takes the last value,
and it makes a dict of every record that an array claims to have. A value that one reader takes and another refuses is a
row here and a dead letter there, so the rules are those of the strictest reader, and they are checked first.

One rule is the loosest reader's: a block of an array may say how many bytes it has, and ClickHouse does not look at it.
fastavro does when it passes over a field, so a record is given to it without these sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema

#: Records that one array may have: each costs half a kilobyte in memory, even if it is three bytes long.
MAX_RECORDS = 65_536

_VARINT_BYTES = 10
#: from the index of a value to the index behind it; raises InvalidValue, or IndexError past the end
Step = Callable[[bytes, int], int]


def walk(schema: AvroSchema, body: bytes) -> int:
    """Return the end of the record that `body` begins with. Keeps only the keys of a map.

    Raises:
        InvalidValue: it is cut short, or is not of this schema.
    """
    try:
        end = _step_of(schema)(body, 0)
        if end <= len(body):
            return end
        reason = "it is cut short"
    except IndexError:
        reason = "it is cut short"
    except RecursionError:
        reason = "it is nested too deep"
    except InvalidValue as error:
        reason = str(error)
    raise InvalidValue(f"{schema.name}: not a record of this schema: {reason}")


class _Copied(bytes):
    """A body that is copied while it is walked: its blocks without their sizes."""

    def __init__(self, _: bytes) -> None:
        self.copy, self.copied = bytearray(), 0

    def pass_block(self, start: int, count: int, end: int) -> None:
        """Copy the bytes before a block of so many items; `end` is the index of its first item."""
        self.copy += self[self.copied : start] + zigzag(count)
        self.copied = end


def without_sizes(schema: AvroSchema, body: bytes) -> tuple[bytes, int]:
    """Return the record that `body` begins with, its blocks without their sizes, and its end in `body`.

    The items stay as they are; the size that a block states may be wrong. Raises like `walk`.
    """
    copied = _Copied(body)
    end = walk(schema, copied)
    return bytes(copied.copy + body[copied.copied : end]), end


@cache
def _step_of(schema: AvroSchema) -> Step:
    return _compile(schema.parsed, {})


# --- values ---------------------------------------------------------------------------------------------------


def _long(body: bytes, at: int) -> int:
    last = at + _VARINT_BYTES
    while body[at] > 0x7F:
        at += 1
        if at == last:
            raise InvalidValue(f"an integer of more than {_VARINT_BYTES} bytes")
    return at + 1


def number(body: bytes, at: int) -> tuple[int, int]:
    """Return the long at `at`, and the index behind it."""
    byte = body[at]
    raw, shift = byte & 0x7F, 7
    while byte > 0x7F:
        at += 1
        byte = body[at]
        raw |= (byte & 0x7F) << shift
        shift += 7
        if shift > 7 * _VARINT_BYTES:
            raise InvalidValue(f"an integer of more than {_VARINT_BYTES} bytes")
    raw &= 0xFFFF_FFFF_FFFF_FFFF
    return raw >> 1 ^ -(raw & 1), at + 1


def zigzag(value: int) -> bytes:
    """Return a value as an Avro int or long: what `number` reads."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _int(body: bytes, at: int) -> int:
    end = _long(body, at)
    if end - at > 4 and not -(2**31) <= number(body, at)[0] < 2**31:
        raise InvalidValue("an int of more than 32 bits")
    return end


def _bytes(body: bytes, at: int) -> int:
    first = body[at]
    if first <= 0x7F and not first & 1:  # most texts are short
        return at + 1 + (first >> 1)
    length, at = number(body, at)
    if length < 0:
        raise InvalidValue("a negative length")
    return at + length


def _boolean(body: bytes, at: int) -> int:
    if body[at] > 1:
        raise InvalidValue("a boolean that is neither 0 nor 1")
    return at + 1


def _fixed(size: int) -> Step:
    return lambda _, at: at + size


def _enum(symbols: int) -> Step:
    def step(body: bytes, at: int) -> int:
        index, at = number(body, at)
        if not 0 <= index < symbols:
            raise InvalidValue(f"symbol {index} of an enum that has {symbols}")
        return at

    return step


# --- values of values -----------------------------------------------------------------------------------------


def _record(steps: tuple[Step, ...]) -> Step:
    def step(body: bytes, at: int) -> int:
        for field in steps:
            at = field(body, at)
        return at

    return step


def _union(steps: tuple[Step, ...]) -> Step:
    def step(body: bytes, at: int) -> int:
        branch, at = number(body, at)
        if not 0 <= branch < len(steps):
            raise InvalidValue(f"branch {branch} of a union that has {len(steps)}")
        return steps[branch](body, at)

    return step


def _array(item: Step, limit: int | None) -> Step:
    """Return the step over an array of at most so many items, or of any number."""

    def step(body: bytes, at: int) -> int:
        items = 0
        while True:
            count, at = _block(body, at)
            if not count:
                return at
            items += count
            if limit is not None and items > limit:
                raise InvalidValue(f"more than {limit} records in an array")
            for _ in range(count):
                at = item(body, at)

    return step


def _map(value: Step) -> Step:
    def step(body: bytes, at: int) -> int:
        keys: set[bytes] = set()
        items = 0
        while True:
            count, at = _block(body, at)
            if not count:
                break
            items += count
            for _ in range(count):
                end = _bytes(body, at)
                keys.add(body[at:end])
                at = value(body, end)
        if len(keys) != items:
            raise InvalidValue("a map has a key twice")
        return at

    return step


def _block(body: bytes, at: int) -> tuple[int, int]:
    """Return how many items follow in a block of an array or a map, and the index of the first."""
    start = at
    count, at = number(body, at)
    if count < 0:  # then the block says how many bytes it has, for those who want to skip it
        count = -count
        at = _long(body, at)
        if isinstance(body, _Copied):
            body.pass_block(start, count, at)
    if count > len(body) - at:
        raise InvalidValue(f"{count} items in {len(body) - at} bytes")
    return count, at


# --- from the schema ------------------------------------------------------------------------------------------

_PLAIN: Mapping[str, Step] = {
    "null": _fixed(0),
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _fixed(4),
    "double": _fixed(8),
    "bytes": _bytes,
    "string": _bytes,
}


def _compile(node: Any, named: dict[str, Step]) -> Step:  # noqa: ANN401 - a parsed schema: a name, a list or a dict
    if isinstance(node, list):
        return _union(tuple(_compile(branch, named) for branch in node))
    if isinstance(node, str):
        return _PLAIN.get(node) or _reference(node, named)
    kind = node["type"]
    if kind == "array":
        return _array(_compile(node["items"], named), MAX_RECORDS if isinstance(node["items"], dict) else None)
    if kind == "map":
        return _map(_compile(node["values"], named))
    if kind not in ("record", "error", "enum", "fixed"):
        return _compile(kind, named)
    step = named[node["name"]] = _named(node, named)
    return step


def _reference(name: str, named: Mapping[str, Step]) -> Step:
    """Return the step over a type by its name: a record may contain itself, so it is looked up when it is met."""

    def step(body: bytes, at: int) -> int:
        return named[name](body, at)

    return step


def _named(node: Mapping[str, Any], named: dict[str, Step]) -> Step:
    if node["type"] == "enum":
        return _enum(len(node["symbols"]))
    if node["type"] == "fixed":
        return _fixed(node["size"])
    return _record(tuple(_compile(field["type"], named) for field in node["fields"]))
