"""Retries of dead letters among the sinks: the real core of `runbus dlq retry`, on wires that are cut and held."""

from __future__ import annotations

import asyncio
import random

from runbus.clickhouse.errors import StoreError
from runbus.config.errors import InvalidValue
from runbus.dead_letters.gate import Gate, Origin
from runbus.dead_letters.retry import Bench, store_again
from runbus.kafka.model import DeadLetter, LogUnavailable
from runbus.schemas.errors import UnknownSchema
from runbus.sink.records import read
from tests.simulation.universe import TOPICS, Universe
from tests.simulation.values import SimulatedSchemas
from tests.simulation.wire import Killed, Wire, WiredBroker, WiredClock, WiredStore


class Retry:
    """One command that retries everything, from its start to its end."""

    def __init__(self, universe: Universe, name: str) -> None:
        self.wire = Wire(universe, f"{universe.profile.seed} {name}")
        self.stored = 0
        self._universe = universe
        self._rng = random.Random(f"{universe.profile.seed} {name} own")
        self.task = asyncio.create_task(self._main(), name=name)

    async def _main(self) -> None:
        bench = Bench(
            WiredStore(self.wire), SimulatedSchemas(self._universe.registry), WiredClock(self.wire), 20.0, self._rng
        )
        letters = list(self._universe.log.dead_letters)
        try:
            gate = await self._gate()
            for letter in letters:
                await self._one(bench, gate, letter)
        except (Killed, LogUnavailable, StoreError):
            return
        finally:
            self.wire.cut()

    async def _gate(self) -> Gate:
        broker = WiredBroker(self.wire)
        return Gate(TOPICS, await broker.ids(), await broker.committed(self._universe.positions))

    async def _one(self, bench: Bench, gate: Gate, letter: DeadLetter) -> None:
        source, record, route = letter.source, letter.record, TOPICS[letter.source.topic]
        origin = Origin(source.topic, source.topic_id, source.partition, record.offset)
        framed = read(record.offset, record.key, record.value, 0, batched=route.batched)
        if not gate.obstacle(origin):
            try:
                self.stored += await store_again(bench, route, origin, framed)
            except (InvalidValue, UnknownSchema):
                return

    def kill(self) -> None:
        """SIGKILL."""
        self.wire.cut()
        self.task.cancel()
