"""Gives the wrappers that share a recorder env indices of their own, so that their rows do not mix."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count as counted
from typing import NamedTuple


class EnvReservation(NamedTuple):
    """Env indices that belong to one wrapper until it gives them back."""

    number: int
    envs: range


class EnvIndices:
    """Reserves the lowest free indices. Can be pickled. One thread at a time may reserve; any may give back."""

    def __init__(self) -> None:
        self._reserved: dict[int, range] = {}
        self._known: set[int] = set()  # every index that was ever reserved: its rows are a wrapper's
        self._next = 0

    def reserve(self, count: int, used: Callable[[int], bool]) -> EnvReservation:
        """Return `count` consecutive indices that no other reservation has.

        Args:
            used: whether there are rows of an index; those of an index that was never reserved are the loop's own.
        """
        taken = {env for envs in self._reserved.copy().values() for env in envs}  # others give back meanwhile

        def free(env: int) -> bool:
            return env not in taken and (env in self._known or not used(env))

        first = next(n for n in counted() if all(free(env) for env in range(n, n + count)))
        found = EnvReservation(self._next, range(first, first + count))
        self._next += 1
        self._reserved[found.number] = found.envs
        self._known.update(found.envs)
        return found

    def give_back(self, reservation: EnvReservation) -> None:
        """End a reservation; nothing if it has ended. Takes no lock: garbage may be collected anywhere."""
        self._reserved.pop(reservation.number, None)
