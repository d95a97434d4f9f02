"""Reads ClickHouse's Native format into columns; numbers are not copied. Its quirks stay here.

The format is a run of blocks: how many columns and rows, then a column after the other: its name, its type, its values.
A LowCardinality column has a dictionary a block: queries say `::String` instead, and one that does not is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runbus.dashboard.history.values import Column, Lists, Maps, Maybe, Numbers, Texts, Tuples

_NUMBERS = {
    "Bool": "?",
    **{f"{sign}Int{8 * size}": f"<{kind}{size}" for sign, kind in (("U", "u"), ("", "i")) for size in (1, 2, 4, 8)},
    "Float32": "<f4",
    "Float64": "<f8",
}
_TIME = re.compile(r"DateTime64\(.*\)")  # its ticks
_INNER = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a question: its columns by name, in their order; all have `rows` values."""

    columns: dict[str, Column]
    rows: int


def parse(data: bytes) -> Table:
    """Return what an answer in the format Native says. Raises ValueError if it says something else."""
    reader = _Reader(data)
    blocks: list[dict[str, Column]] = []
    while not reader.done:
        count, rows = reader.number(), reader.number()
        block = {}
        for _ in range(count):
            name, kind = reader.text(), reader.text()
            block[name] = reader.column(kind, rows)
        if rows or not blocks:
            blocks.append(block)
    if len(blocks) > 1 and not len(next(iter(blocks[0].values()), ())):
        del blocks[0]
    columns = {name: _joined([block[name] for block in blocks]) for name in (blocks[0] if blocks else ())}
    return Table(columns, len(next(iter(columns.values()), ())))


def empty(types: Mapping[str, str]) -> Table:
    """Return a table without rows, from the types of its columns by name."""
    return Table({name: _Reader(b"").column(kind, 0) for name, kind in types.items()}, 0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._data)

    def number(self) -> int:
        """Read a variable-length integer."""
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def text(self) -> str:
        size = self.number()
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def column(self, kind: str, rows: int) -> Column:
        if dtype := _NUMBERS.get(kind) or ("<i8" if _TIME.fullmatch(kind) else None):
            return Numbers(self._numbers(dtype, rows))
        if kind == "String":
            return self._texts(rows)
        if kind == "Nothing":  # the item of an empty array
            return Numbers(self._numbers("|u1", rows))
        found = _INNER.fullmatch(kind)
        if found is None or found[1] not in _NESTED:
            raise ValueError(f"no column of an answer may be a {kind}")
        return _NESTED[found[1]](self, _split(found[2]), rows)

    def _numbers(self, dtype: str, rows: int) -> NDArray[np.generic]:
        values = np.frombuffer(self._data, dtype, rows, self._at)
        self._at += values.nbytes
        return values

    def _texts(self, rows: int) -> Texts:
        parts = []
        for _ in range(rows):
            size = self.number()
            parts.append(self._data[self._at : self._at + size])
            self._at += size
        return Texts.of(parts)

    def _offsets(self, rows: int) -> NDArray[np.int64]:
        return np.concatenate(([0], self._numbers("<u8", rows))).astype(np.int64)

    def lists(self, kinds: list[str], rows: int) -> Column:
        offsets = self._offsets(rows)
        return Lists(offsets, self.column(kinds[0], int(offsets[-1])))

    def maps(self, kinds: list[str], rows: int) -> Column:
        offsets = self._offsets(rows)
        keys = self.column(kinds[0], int(offsets[-1]))
        return Maps(offsets, keys, self.column(kinds[1], int(offsets[-1])))

    def tuples(self, kinds: list[str], rows: int) -> Column:
        return Tuples(tuple(self.column(kind, rows) for kind in kinds), rows)

    def maybe(self, kinds: list[str], rows: int) -> Column:
        missing = self._numbers("?", rows).astype(np.bool_)
        return Maybe(missing, self.column(kinds[0], rows))


_NESTED: dict[str, Callable[[_Reader, list[str], int], Column]] = {
    "Array": _Reader.lists,
    "Map": _Reader.maps,
    "Tuple": _Reader.tuples,
    "Nullable": _Reader.maybe,
}


def _split(kinds: str) -> list[str]:
    """Split the types between the brackets of another one; a tuple's names are left out."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(kinds):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append(kinds[start:at])
            start = at + 1
    parts.append(kinds[start:])
    return [re.sub(r"^\w+ (?=\w)", "", part.strip()) for part in parts]


def _joined(parts: list[Column]) -> Column:
    """Return the parts of a column, a block each, as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Numbers):
        return Numbers(np.concatenate([part.array for part in parts if isinstance(part, Numbers)]))
    if isinstance(first, Texts):
        texts = [part for part in parts if isinstance(part, Texts)]
        return Texts(_chained([part.offsets for part in texts]), b"".join(part.data for part in texts))
    if isinstance(first, Lists):
        lists = [part for part in parts if isinstance(part, Lists)]
        return Lists(_chained([part.offsets for part in lists]), _joined([part.values for part in lists]))
    if isinstance(first, Maps):
        maps = [part for part in parts if isinstance(part, Maps)]
        keys, values = _joined([part.keys for part in maps]), _joined([part.values for part in maps])
        return Maps(_chained([part.offsets for part in maps]), keys, values)
    if isinstance(first, Tuples):
        tuples = [part for part in parts if isinstance(part, Tuples)]
        columns = zip(*(part.parts for part in tuples), strict=True)
        return Tuples(tuple(_joined(list(column)) for column in columns), sum(part.count for part in tuples))
    some = [part for part in parts if isinstance(part, Maybe)]
    return Maybe(np.concatenate([part.missing for part in some]), _joined([part.values for part in some]))


def _chained(offsets: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    chained, end = [np.zeros(1, np.int64)], 0
    for part in offsets:
        chained.append(part[1:] + end)
        end += int(part[-1])
    return np.concatenate(chained)
