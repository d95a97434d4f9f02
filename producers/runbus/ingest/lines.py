"""Cuts bytes into lines, in bounded memory: of one above the limit its start, length and hash remain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

#: What is kept of a line that is not used: enough to see what it was.
START_BYTES = 1024
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n\x00"  # a file whose machine died can end in NULs


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its end.

    Attributes:
        number: its place in the source, from 1.
        data: its bytes; of one above the limit the first START_BYTES.
        size: how many bytes it had.
        sha256: of the whole line, hexadecimal, if it is above the limit; else "".
        ended: a line end came. The last one of a file may be half a line.
    """

    number: int
    data: bytes
    size: int
    sha256: str = ""
    ended: bool = True

    @property
    def too_long(self) -> bool:
        """Return whether only its start is here."""
        return bool(self.sha256)


class LineReader:
    """Takes chunks of a source and hands out its lines. Blank ones are not handed out, but have a number.

    Args:
        limit: bytes of the longest line that is kept whole. This bounds the memory of a reader.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._long = False
        self._broken = False
        self._hash = sha256()
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Take the next bytes and yield the lines that end in them."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._take(chunk[start:end])
            yield from self._line(ended=True)
            start = end + 1
        if start < len(chunk):
            self._take(chunk[start:])

    def end(self) -> Iterator[Line]:
        """Yield what is behind the last line end, if there is anything; the next bytes begin a line."""
        if self._size:
            yield from self._line(ended=False)

    def lose(self) -> None:
        """Take that bytes are missing here: the line that they were in is not handed out."""
        self._parts, self._size, self._long, self._hash = [], 0, False, sha256()
        self._broken = True

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        if not self._long and self._size <= self._limit:
            self._parts.append(part)
            return
        if not self._long:
            whole, self._long = b"".join(self._parts), True
            self._hash.update(whole)
            self._parts = [whole[:START_BYTES]]
        self._hash.update(part)
        self._parts[0] += part[: max(0, START_BYTES - len(self._parts[0]))]

    def _line(self, *, ended: bool) -> Iterator[Line]:
        data, size = b"".join(self._parts), self._size
        digest = self._hash.hexdigest() if self._long else ""
        self._parts, self._size, self._long, self._hash = [], 0, False, sha256()
        self._number += 1
        if self._broken:
            self._broken = False
            return
        if self._number == 1:
            data = data.removeprefix(_BOM)
        if not digest:
            data = data.strip(_BLANK)
        if data:
            yield Line(self._number, data, size, digest, ended)
