"""A stream has one header, however many pieces the engine makes."""

from __future__ import annotations

import pytest

from runbus.local.clickhouse_http.headers import HeadedStream, header_end


class _Pieces:
    """A stream of some pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._left = list(pieces)
        self.closed = False

    def next(self) -> bytes | None:
        """Return the next one."""
        return self._left.pop(0) if self._left else None

    def close(self) -> None:
        """End."""
        self.closed = True


def _read(pieces: _Pieces, rows: int) -> bytes:
    stream, found = HeadedStream(pieces, rows, lambda: b"n\nUInt8\n"), b""  # type: ignore[arg-type]
    while (piece := stream.next()) is not None:
        found += piece
    stream.close()
    assert pieces.closed
    return found


def test_the_header_comes_once() -> None:
    """The second piece's is cut off; a piece without one is data."""
    assert _read(_Pieces(b"n\nUInt8\n1\n", b"n\nUInt8\n2\n", b"3\n"), 2) == b"n\nUInt8\n1\n2\n3\n"


def test_no_rows_have_a_header() -> None:
    """The engine streams no piece at all then."""
    assert _read(_Pieces(), 2) == b"n\nUInt8\n"


@pytest.mark.parametrize(
    ("piece", "rows", "header"),
    [
        (b"a\tb\nUInt8\tUInt8\n1\t2\n", 2, b"a\tb\nUInt8\tUInt8\n"),
        (b'"a\nb","c"\n1,2\n', 1, b'"a\nb","c"\n'),
        (b'"a""\n","c"\n1,2\n', 1, b'"a""\n","c"\n'),
        (b"a", 1, b"a"),
    ],
)
def test_where_a_header_ends(piece: bytes, rows: int, header: bytes) -> None:
    """A line end in the quotes of CSV is part of a name."""
    assert piece[: header_end(piece, rows)] == header
