"""Reads rows out of ClickHouse's TabSeparatedWithNamesAndTypes, each value as SQL takes it back.

In that format a value is written as between the quotes of SQL: `\\n`, `\\'`, `\\\\`. The same is done here to what a
terminal would act on and to bytes that are no UTF-8 (`\\xff`), so that a shown value can be pasted into a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runbus.config.terminal import escape, printable

#: The format to ask for. It is as compact as text gets, and one row is one line.
FORMAT = "TabSeparatedWithNamesAndTypes"
_SPECIAL = {"\\N": "NULL", "NULL": "\\x4eULL"}  # the text NULL is no NULL
_NUMBER = re.compile(r"(?:Nullable\(|LowCardinality\()*(?:U?Int|Float|BFloat|Decimal)\d*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and whether it is aligned as numbers are."""

    name: str
    numeric: bool


class ShownRows:
    """The rows of an answer, read as they come.

    Args:
        pieces: the bytes.

    Attributes:
        columns: known from the first piece on; none if there is no answer at all.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._lines = _lines(pieces)
        names, types = next(self._lines, None), next(self._lines, None)
        self.columns: list[Column] = []
        if names is not None and types is not None:
            kinds = (_NUMBER.match(kind.decode("utf-8", "replace")) is not None for kind in types.split(b"\t"))
            self.columns = [Column(shown(n), k) for n, k in zip(names.split(b"\t"), kinds, strict=True)]

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the values of each row, as they are shown."""
        for line in self._lines:
            yield [shown(value) for value in line.split(b"\t")]


def shown(value: bytes) -> str:
    """Return a value as it is shown: on one line, and as it stands between the quotes of SQL."""
    if value.isascii() and value.decode("ascii").isprintable():
        text = value.decode("ascii")
        return _SPECIAL.get(text, text)
    return "".join(map(_in_sql, value.decode("utf-8", "surrogateescape")))


def _in_sql(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    if printable(character) == character:
        return character
    if character.isascii():
        return escape(character)
    return "".join(f"\\x{byte:02x}" for byte in character.encode())  # SQL has no escape for a character


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        first, *rest = piece.split(b"\n")
        held.append(first)
        if rest:
            yield b"".join(held)
            yield from rest[:-1]
            held = [rest[-1]]
    if last := b"".join(held):
        yield last
