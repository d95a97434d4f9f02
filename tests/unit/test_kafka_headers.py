"""What a dead letter says in its headers, and what its topic takes of it."""

import pytest

from runbus.kafka.headers import fitting, letter_headers, shortened
from runbus.kafka.topics import DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES, MIB


def test_what_is_none_is_left_out_and_bytes_stay() -> None:
    """A record without a key is told from one whose key is empty; a key need not be text."""
    headers = dict(letter_headers("sink", "t", "\ud800", key=None, other=b"\xff"))
    assert headers == {"component": b"sink", "topic": b"t", "error": b"?", "other": b"\xff"}


@pytest.mark.parametrize("value", [None, b"", bytes(MAX_MESSAGE_BYTES), bytes(DEAD_LETTER_BYTES - 100_000)])
def test_what_fits_is_whole(value: bytes | None) -> None:
    """Whatever the topic takes is sent as it is."""
    headers = letter_headers("sink", "t", "why", partition=1, offset=2)
    assert fitting(value, headers) == (value, headers)


@pytest.mark.parametrize(("size", "key"), [(DEAD_LETTER_BYTES, 1), (0, DEAD_LETTER_BYTES), (3 * MIB, 2 * MIB)])
def test_what_does_not_fit_is_shortened(size: int, key: int) -> None:
    """A letter is as large as its value and its headers together: a key may be large too."""
    value, headers = bytes(size), letter_headers("sink", "t", "why", partition=1, offset=2, key=bytes(key))
    assert fitting(value, headers) == shortened(value, headers)
