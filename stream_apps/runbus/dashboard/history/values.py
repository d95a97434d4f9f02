"""Holds the columns of an answer: numbers as numpy arrays, texts as one piece of bytes, lists and maps over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers or booleans, one a row."""

    array: NDArray[Any]

    def __len__(self) -> int:
        return len(self.array)

    def plain(self) -> list[Any]:
        """Return them as Python has them; NaN and the infinities stay what they are."""
        return list(self.array.tolist())


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, or any bytes: `data[offsets[i]:offsets[i + 1]]` is that of row i."""

    offsets: NDArray[np.int64]
    data: bytes

    @classmethod
    def of(cls, texts: Sequence[str | bytes]) -> Texts:
        """Return some texts as a column."""
        parts = [text.encode() if isinstance(text, str) else text for text in texts]
        offsets = np.concatenate(([0], np.cumsum([len(part) for part in parts], dtype=np.int64)))
        return cls(offsets.astype(np.int64), b"".join(parts))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def raw(self) -> list[bytes]:
        """Return the bytes of each row."""
        return [self.data[start:stop] for start, stop in pairwise(self.offsets.tolist())]

    def plain(self) -> list[Any]:
        """Return the text of each row; what is no UTF-8 is replaced."""
        return [part.decode("utf-8", "replace") for part in self.raw()]


@dataclass(frozen=True, slots=True)
class Lists:
    """A list a row: `values` from `offsets[i]` to `offsets[i + 1]`."""

    offsets: NDArray[np.int64]
    values: Column

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def plain(self) -> list[Any]:
        """Return the list of each row."""
        values = self.values.plain()
        return [values[start:stop] for start, stop in pairwise(self.offsets.tolist())]


@dataclass(frozen=True, slots=True)
class Maps:
    """A map a row."""

    offsets: NDArray[np.int64]
    keys: Column
    values: Column

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def plain(self) -> list[Any]:
        """Return the map of each row; a key is a text."""
        keys, values = [str(key) for key in self.keys.plain()], self.values.plain()
        return [
            dict(zip(keys[start:stop], values[start:stop], strict=True))
            for start, stop in pairwise(self.offsets.tolist())
        ]


@dataclass(frozen=True, slots=True)
class Tuples:
    """A tuple a row."""

    parts: tuple[Column, ...]
    count: int

    def __len__(self) -> int:
        return self.count

    def plain(self) -> list[Any]:
        """Return the tuple of each row, as a list."""
        return [list(row) for row in zip(*(part.plain() for part in self.parts), strict=True)]


@dataclass(frozen=True, slots=True)
class Maybe:
    """Values of which some are not there."""

    missing: NDArray[np.bool_]
    values: Column

    def __len__(self) -> int:
        return len(self.missing)

    def plain(self) -> list[Any]:
        """Return them, None for one that is not there."""
        pairs = zip(self.missing.tolist(), self.values.plain(), strict=True)
        return [None if missing else value for missing, value in pairs]


@dataclass(frozen=True, slots=True)
class Made:
    """Values of any kind that JSON can say; they are made out of other columns once they are asked for.

    Attributes:
        count: of rows.
        make: returns them; it may take long.
    """

    count: int
    make: Callable[[], list[Any]]

    def __len__(self) -> int:
        return self.count

    def plain(self) -> list[Any]:
        """Return them."""
        return self.make()


Column = Numbers | Texts | Lists | Maps | Tuples | Maybe | Made


def finite(value: object) -> tuple[Any, int]:
    """Return a value as JSON can say it, and how many numbers of it JSON cannot: they are None."""
    if isinstance(value, float):
        return (value, 0) if math.isfinite(value) else (None, 1)
    if isinstance(value, list):
        pairs = [finite(item) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        found = {key: finite(item) for key, item in value.items()}
        return {key: item for key, (item, _) in found.items()}, sum(count for _, count in found.values())
    return value, 0


def said(column: Column) -> tuple[list[Any], int]:
    """Return a column as JSON can say it, and how many of its numbers JSON cannot."""
    if isinstance(column, Numbers):
        values = column.plain()
        if column.array.dtype.kind != "f":
            return values, 0
        bad = np.flatnonzero(~np.isfinite(column.array))
        for row in bad.tolist():
            values[row] = None
        return values, len(bad)
    if isinstance(column, Texts):
        return list(column.plain()), 0
    values, count = finite(column.plain())
    return values, count
