"""What can happen to bytes: one seeded source of damage for every kind of value."""

from __future__ import annotations

import random
from collections.abc import Callable

from runbus.schemas.walk import zigzag

#: where integers meet a border: of a byte, of a varint's length, of 32 and of 64 bits, of a count
NUMBERS = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 127, 128, 255, 256, 2**15, 65_536, 65_537, 1_000_000, 1_000_001),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1_000_001, 2**63 - 1_000_000, 2**63 - 1),
    *(-1, -2, -3, -4, -8, -64, -65, -(2**31), -(2**31) - 1, -(2**63)),
)
#: texts that an identifier may not be, or may just be
TEXTS = (
    *("", "a/b", "a\nb", "\0", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\xa0", " ", "\u2028", "\ufeff", "\U0010ffff"),
    *("x" * 255, "x" * 256, "é" * 127, "é" * 128),
)
#: bytes that are no UTF-8: half a surrogate pair, too long for what they say, past the last character, cut short
NO_TEXT = (b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"a\xff")


def text(raw: bytes) -> bytes:
    """Return Avro bytes or an Avro string."""
    return zigzag(len(raw)) + raw


def varint(dice: random.Random) -> bytes:
    """Return an integer, or what looks like one: cut off, padded, endless."""
    return dice.choice(
        [
            zigzag(dice.choice(NUMBERS)),
            zigzag(dice.randint(-3, 40)),
            b"\xff" * dice.randint(1, 12),
            b"\x80" * dice.randint(1, 12) + dice.choice([b"\0", b"\x01", b"\x02"]),
        ]
    )


def blocks(dice: random.Random, items: list[bytes]) -> bytes:
    """Return the items of an array in blocks, some with their size in front, now and then a wrong one."""
    out = b""
    while items:
        count = dice.randint(1, len(items))
        raw, items = b"".join(items[:count]), items[count:]
        size = zigzag(len(raw)) if dice.random() < 0.7 else varint(dice)
        out += zigzag(count) + raw if dice.random() < 0.5 else zigzag(-count) + size + raw
    return out + dice.choice([b"\0"] * 8 + [b"\x80\0", b""])


def damaged(dice: random.Random, raw: bytes, other: Callable[[], bytes]) -> bytes:
    """Return bytes with one thing done to them: a bit, a byte, a cut, a piece doubled or taken from another value."""
    if not raw:
        return other()
    at = dice.randrange(len(raw))
    end = min(len(raw), at + dice.randint(1, 12))
    head, piece, tail = raw[:at], raw[at:end], raw[end:]
    match dice.randrange(10):
        case 0:
            return head + bytes([raw[at] ^ 1 << dice.randrange(8)]) + raw[at + 1 :]
        case 1:
            return head + dice.randbytes(1) + raw[at + 1 :]
        case 2:
            return head
        case 3:
            return head + tail
        case 4:
            return head + piece + piece + tail
        case 5:
            return head + varint(dice) + tail
        case 6:
            return head + varint(dice) + raw[at + 1 :]
        case 7:
            spliced = other()
            return head + spliced[dice.randrange(len(spliced)) :]
        case 8:
            return raw + dice.choice([b"\0", b"\0\0", b"\x01", text(b"end 0"), other()])
        case _:
            return head + dice.choice(NO_TEXT) + raw[at + 1 :]
