"""Keeps one header in a stream: the engine formats each piece as a whole answer, names and types in front of it."""

from collections.abc import Callable

from runbus.local.clickhouse_http.engine import ResultStream

#: Format that can be streamed -> rows of its header.
HEADER_ROWS = {
    "CSVWithNames": 1,
    "CSVWithNamesAndTypes": 2,
    "TabSeparatedWithNames": 1,
    "TabSeparatedWithNamesAndTypes": 2,
    "TSVWithNames": 1,
    "TSVWithNamesAndTypes": 2,
}


class HeadedStream(ResultStream):
    """A stream whose header comes once, and also if there is no row."""

    def __init__(self, stream: ResultStream, header_rows: int, whole: Callable[[], bytes]) -> None:
        """Take the stream, and what makes the whole answer of a statement without rows."""
        self._stream = stream
        self._header_rows = header_rows
        self._whole = whole
        self._header: bytes | None = None

    def next(self) -> bytes | None:
        """Return the next piece, None at the end. Raises EngineError if the query fails meanwhile."""
        piece = self._stream.next()
        if self._header is not None:
            return None if piece is None else piece.removeprefix(self._header)
        if piece is None:
            self._header = b""
            return self._whole()
        self._header = piece[: header_end(piece, self._header_rows)]
        return piece

    def close(self) -> None:
        """Cancel what still runs and end the session."""
        self._stream.close()


def header_end(piece: bytes, rows: int) -> int:
    """Return the position behind so many rows; a line end between the double quotes of CSV ends no row."""
    position = 0
    for _ in range(rows):
        end = piece.find(b"\n", position)
        while end >= 0 and piece.startswith(b'"') and piece[:end].count(b'"') % 2:
            end = piece.find(b"\n", end + 1)
        position = end + 1 if end >= 0 else len(piece)
    return position
