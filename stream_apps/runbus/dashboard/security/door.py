"""Counts who is in: open connections, of all and of each address; pure."""

from __future__ import annotations

from collections import Counter


class Door:
    """Lets connections in up to two limits.

    Args:
        most: of all.
        most_of_one: of one address.

    Attributes:
        inside: how many are in.
        refused: how many were not let in, since the start.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._of: Counter[str] = Counter()
        self.inside = 0
        self.refused = 0

    def enter(self, address: str) -> bool:
        """Return whether one more of an address may come in; it is counted until it leaves."""
        if self.inside >= self._most or self._of[address] >= self._most_of_one:
            self.refused += 1
            return False
        self.inside += 1
        self._of[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Note that one that was let in is gone."""
        self.inside -= 1
        self._of[address] -= 1
        if not self._of[address]:
            del self._of[address]
