"""Writes an answer as columns: a header in JSON, and numbers that a browser reads without parsing.

    bytes 0-3       length of the header (unsigned, little-endian)
    header          JSON, padded with spaces, so that what follows begins at a multiple of 8
    data            the columns; a column's `at` counts from here, and is a multiple of 8

The header says what the answer in JSON says beside its columns, and in place of these `columns`: a list of

    {"name", "kind": "f8", "at", "int": true}             Float64Array of `rows`; int: all are whole numbers, exact
    {"name", "kind": "i8", "at"}                          BigInt64Array: whole numbers of which some are above 2^53
    {"name", "kind": "u1", "at"}                          Uint8Array: booleans
    {"name", "kind": "text" | "bytes" | "json", "at", "data", "bytes"}
                                                          Uint32Array of rows + 1 offsets into `bytes` bytes at `data`
    {"name", "kind": "f8list", "at", "data", "values"}    the same, offsets into a Float64Array of `values` numbers

A number that is not there (NULL) is NaN. `json` is the value of each row as JSON; empty = none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.dashboard.history.native import Table
from runbus.dashboard.history.values import Column, Lists, Maybe, Numbers, Texts, finite

MEDIA_TYPE = "application/vnd.runbus.columns"
_EXACT = 1 << 53


def pack(table: Table, said: Mapping[str, Any], raw: frozenset[str] = frozenset()) -> bytes:
    """Return a table with what is said beside it; texts named in `raw` are bytes."""
    body = _Body()
    described = [_packed(body, name, column, name in raw) for name, column in table.columns.items()]
    header = json.dumps({**said, "rows": table.rows, "columns": described}, separators=(",", ":")).encode()
    header += b" " * (-(4 + len(header)) % 8)
    return b"".join((len(header).to_bytes(4, "little"), header, *body.parts))


class _Body:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> int:
        """Take some bytes; return where they begin: at a multiple of 8."""
        start = self._size
        padded = data + b"\0" * (-len(data) % 8)
        self.parts.append(padded)
        self._size += len(padded)
        return start


def _packed(body: _Body, name: str, column: Column, raw: bool) -> dict[str, Any]:
    if isinstance(column, Maybe) and isinstance(column.values, Numbers):
        numbers = column.values.array.astype("<f8")
        numbers[column.missing] = np.nan
        return {"name": name, **_numbers(body, numbers)}
    if isinstance(column, Numbers):
        return {"name": name, **_numbers(body, column.array)}
    if isinstance(column, Texts):
        return {"name": name, "kind": "bytes" if raw else "text", **_texts(body, column)}
    if isinstance(column, Lists) and isinstance(column.values, Numbers):
        values = column.values.array.astype("<f8")
        at = body.add(column.offsets.astype("<u4").tobytes())
        return {"name": name, "kind": "f8list", "at": at, "data": body.add(values.tobytes()), "values": len(values)}
    lines = [json.dumps(finite(value)[0], separators=(",", ":")) for value in column.plain()]
    return {"name": name, "kind": "json", **_texts(body, Texts.of(["" if line == "null" else line for line in lines]))}


def _numbers(body: _Body, array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype.kind == "b":
        return {"kind": "u1", "at": body.add(array.tobytes())}
    if array.dtype.kind == "f":
        return {"kind": "f8", "at": body.add(array.astype("<f8").tobytes())}
    if len(array) and (int(array.max()) > _EXACT or int(array.min()) < -_EXACT):
        return {"kind": "i8", "at": body.add(array.astype("<i8").tobytes())}
    return {"kind": "f8", "at": body.add(array.astype("<f8").tobytes()), "int": True}


def _texts(body: _Body, column: Texts) -> dict[str, Any]:
    at = body.add(column.offsets.astype("<u4").tobytes())
    return {"at": at, "data": body.add(column.data), "bytes": len(column.data)}
