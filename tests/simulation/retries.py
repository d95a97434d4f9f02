"""Retries dead letters beside the sinks: the real core of `runbus dlq retry`, over a wire that is cut and held."""

from __future__ import annotations

import asyncio
import random

from runbus.clickhouse.errors import StoreError
from runbus.config.errors import InvalidValue
from runbus.kafka.model import DeadLetter, LogUnavailable
from runbus.schemas.errors import UnknownSchema
from runbus.sink.dead_letters.eligibility import LetterOrigin, RetryEligibility
from runbus.sink.dead_letters.retry import RetryContext, store_again
from runbus.sink.records import read
from tests.simulation.state import TOPICS, SimulationState
from tests.simulation.values import SimulatedSchemas
from tests.simulation.wire import Killed, Wire, WiredBroker, WiredClock, WiredStore


class Retry:
    """Runs one command that retries everything, from its start to its end."""

    def __init__(self, state: SimulationState, name: str) -> None:
        self.wire = Wire(state, f"{state.profile.seed} {name}")
        self.stored = 0
        self._state = state
        self._rng = random.Random(f"{state.profile.seed} {name} own")
        self.task = asyncio.create_task(self._main(), name=name)

    async def _main(self) -> None:
        context = RetryContext(
            WiredStore(self.wire), SimulatedSchemas(self._state.registry), WiredClock(self.wire), 20.0, self._rng
        )
        letters = list(self._state.log.dead_letters)
        try:
            eligibility = await self._eligibility()
            for letter in letters:
                await self._one(context, eligibility, letter)
        except (Killed, LogUnavailable, StoreError):
            return
        finally:
            self.wire.cut()

    async def _eligibility(self) -> RetryEligibility:
        broker = WiredBroker(self.wire)
        return RetryEligibility(TOPICS, await broker.ids(), await broker.committed(self._state.positions))

    async def _one(self, context: RetryContext, eligibility: RetryEligibility, letter: DeadLetter) -> None:
        source, record, route = letter.source, letter.record, TOPICS[letter.source.topic]
        origin = LetterOrigin(source.topic, source.topic_id, source.partition, record.offset)
        framed = read(record.offset, record.key, record.value, 0, batched=route.batched)
        if not eligibility.obstacle(origin):
            try:
                self.stored += await store_again(context, route, origin.source, framed)
            except (InvalidValue, UnknownSchema):
                return

    def kill(self) -> None:
        """SIGKILL."""
        self.wire.cut()
        self.task.cancel()
