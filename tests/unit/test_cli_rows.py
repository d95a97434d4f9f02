"""Rows come out of ClickHouse's own text, each value as SQL takes it back, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.cli.rows import Column, ShownRows, shown

ANSWER = (
    b"run_id\tn\tnote\nString\tNullable(UInt64)\tLowCardinality(String)\nr-1\t1790000000000000\ta\\tb\nr-2\t\\N\t\n"
)


def _cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_rows_do_not_depend_on_the_pieces(size: int) -> None:
    """Names, numeric columns, values and NULL are the same for every cut."""
    rows = ShownRows(_cut(ANSWER, size))
    assert rows.columns == [Column("run_id", False), Column("n", True), Column("note", False)]
    assert list(rows) == [["r-1", "1790000000000000", "a\\tb"], ["r-2", "NULL", ""]]


@pytest.mark.parametrize("answer", [b"", b"a\nUInt8\n"])
def test_no_rows(answer: bytes) -> None:
    """A statement that returns nothing has no column, one without rows has its columns."""
    rows = ShownRows(iter([answer] if answer else []))
    assert (len(rows.columns), list(rows)) == (int(bool(answer)), [])


def test_rows_come_before_the_answer_ends() -> None:
    """The first row does not wait for the second piece."""

    def pieces() -> Iterator[bytes]:
        yield ANSWER
        raise AssertionError("asked for more than the first row needs")

    assert next(iter(ShownRows(pieces()))) == ["r-1", "1790000000000000", "a\\tb"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"0.001", "0.001"),
        (b"1.5e300", "1.5e300"),
        (b"\\N", "NULL"),
        (b"NULL", "\\x4eULL"),
        (b"\\\\N", "\\\\N"),
        (b"a\x1b[31m\x07", "a\\x1b[31m\\x07"),
        ("\u202e".encode(), "\\xe2\\x80\\xae"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("é 日本".encode(), "é 日本"),
        ("\x9b".encode(), "\\xc2\\x9b"),
        (b"['it\\'s']", "['it\\'s']"),
    ],
)
def test_what_is_shown(value: bytes, text: str) -> None:
    """The right values."""
    assert shown(value) == text


@given(st.binary().filter(lambda value: b"\n" not in value and value not in (b"\\N", b"NULL")))
def test_escapes_give_the_bytes_back(value: bytes) -> None:
    """What is shown is printable, and its \\xHH mean the bytes that were there."""
    text = shown(value)
    assert len(text.splitlines()) <= 1
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)
    back, at = b"", 0
    plain = value.decode("utf-8", "surrogateescape")
    for character in plain:
        raw = character.encode("utf-8", "surrogateescape")
        escaped = "".join({9: "\\t", 13: "\\r"}.get(b, f"\\x{b:02x}") for b in raw)
        step = escaped if text.startswith(escaped, at) else character
        assert text.startswith(step, at)
        at, back = at + len(step), back + raw
    assert (at, back) == (len(text), value)
