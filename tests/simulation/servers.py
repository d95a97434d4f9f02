"""Simulates a broker that can be away, and a store that can be killed between token and rows."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from runbus.clickhouse.errors import TOO_MANY_PARTS, Ambiguous, Capacity, Configuration, DataError, StoreError
from runbus.kafka.model import LogUnavailable
from runbus.sink.container import Container
from runbus.sink.memory import MemoryStore, PartOutcome

T = TypeVar("T")
_OUTCOMES: tuple[PartOutcome, ...] = ("whole", "token", "nothing")


@dataclass(slots=True, eq=False)
class _Insert:
    table: str
    container: Container
    token: str
    dead: bool = False


@dataclass(slots=True)
class StoreServer:
    """Simulates a ClickHouse process, which needs time for an insert and may die in the middle of it.

    Attributes:
        tables: survive it.
        rng: of the seed.
        away_until: virtual second at which it is back.
        refusal: its answer to every request, or None.
        torn: inserts that it was killed in.
    """

    tables: MemoryStore
    rng: random.Random
    away_until: float = 0.0
    refusal: StoreError | None = None
    torn: int = 0
    _under_way: list[_Insert] = field(default_factory=list)

    def refuse(self) -> None:
        """Begin to refuse, for one of a server's reasons."""
        self.refusal = self.rng.choice(
            (
                Capacity("too many parts", TOO_MANY_PARTS),
                Capacity("memory limit", 241),
                Configuration("unknown table", 60),
                StoreError("an error that is in no table", 49),
            )
        )

    def kill(self, seconds: float) -> None:
        """Die now and be away for some time; each part of an insert under way has its own outcome."""
        self.away_until = asyncio.get_running_loop().time() + seconds
        for insert in self._under_way:
            insert.dead = True
            self.torn += 1
            with contextlib.suppress(DataError):
                self.tables.apply(insert.table, insert.container, insert.token, lambda _: self.rng.choice(_OUTCOMES))
        self._under_way.clear()

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Take a while, then insert."""
        self._answers()
        insert = _Insert(table, container, token)
        self._under_way.append(insert)
        await asyncio.sleep(self.rng.choice((0.001, 0.1, 0.5, 2.0)))
        if insert.dead:
            raise Ambiguous("connection reset")
        self._under_way.remove(insert)
        self.tables.apply(table, container, token, lambda _: "whole")

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Answer a question."""
        self._answers()
        return await question()

    def _answers(self) -> None:
        if asyncio.get_running_loop().time() < self.away_until:
            raise Ambiguous("connection refused")
        if self.refusal is not None:
            raise self.refusal


@dataclass(slots=True)
class Broker:
    """Simulates whether the broker answers."""

    away_until: float = 0.0

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Answer a question."""
        if asyncio.get_running_loop().time() < self.away_until:
            raise LogUnavailable("connection refused")
        return await question()
