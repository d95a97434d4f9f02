"""Keeps the newest record of each key as its bytes, and decodes it when somebody looks.

With a thousand streams, live metrics are thousands of records a second, and a page shows each of them four times a
second at the most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from runbus.config.errors import RunBusError

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: bytes
    arrived: float
    decoded: T | None = None


class Newest(Generic[T]):
    """The newest record of each key.

    Args:
        decode: makes the event of a value; raises RunBusError if it is none.
    """

    def __init__(self, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._entries: dict[str, _Entry[T]] = {}
        self.unreadable = 0

    def put(self, key: str, value: bytes, arrived: float) -> None:
        """Keep a record that came at `arrived`."""
        self._entries[key] = _Entry(value, arrived)

    def get(self, key: str) -> T | None:
        """Return the newest event of a key; None = there is none that can be read."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.decoded is None and entry.value:
            try:
                entry.decoded = self._decode(entry.value)
            except RunBusError:
                self.unreadable += 1
                entry.value = b""
        return entry.decoded

    def value(self, key: str) -> bytes:
        """Return the bytes of the newest record of a key, empty if there is none that can be read."""
        entry = self._entries.get(key)
        return b"" if entry is None else entry.value

    def arrived(self, key: str) -> float:
        """Return when the newest record of a key came; -inf = none did."""
        entry = self._entries.get(key)
        return float("-inf") if entry is None else entry.arrived

    def forget(self, key: str) -> None:
        """Drop a key."""
        self._entries.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)
