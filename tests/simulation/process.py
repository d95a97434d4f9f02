"""Runs one simulated sink process: the real session, flows and protocol, over a wire."""

from __future__ import annotations

import asyncio
import random

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError
from runbus.config.secret import Secret
from runbus.kafka.dead_letter_rate import DeadLetterLimits
from runbus.kafka.settings import KafkaSettings
from runbus.sink.context import ProtocolContext
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.memory import MemoryMember
from runbus.sink.metrics import SinkMetrics
from runbus.sink.ranges import RangeLimits
from runbus.sink.session import Session, serve
from runbus.sink.settings import SinkSettings
from runbus.sink.topics import TopicIds
from tests.simulation.state import TOPICS, SimulationState
from tests.simulation.values import SimulatedSchemas
from tests.simulation.wire import Killed, Wire, WiredBroker, WiredClock, WiredStore


def _settings(state: SimulationState) -> SinkSettings:
    limits = RangeLimits(steps=state.profile.range_steps, seconds=0.5, most_seconds=4.0)
    # if a registry learns, everything becomes readable in the end, so a partition may as well wait for it
    strict = state.profile.learned and not state.profile.unstorable
    return SinkSettings(
        kafka=KafkaSettings("simulated:1"),
        clickhouse=ClickHouseSettings("http://simulated", "u", Secret(""), "d"),
        group="sink",
        limits=limits,
        dead_letter_limits=DeadLetterLimits(run=1, share=1.0) if strict else DeadLetterLimits(run=0, share=1.0),
        skip_lost=True,
    )


class Process:
    """Runs a sink from its start to its end."""

    def __init__(self, state: SimulationState, name: str) -> None:
        self.metrics = SinkMetrics()
        self.wire = Wire(state, f"{state.profile.seed} {name}")
        self._state = state
        self._settings = _settings(state)
        self._stop = asyncio.Event()
        self._rng = random.Random(f"{state.profile.seed} {name} own")
        self._task = asyncio.create_task(self._main(), name=name)

    async def _main(self) -> None:
        clock = WiredClock(self.wire)
        broker = WiredBroker(self.wire)
        limits = self._settings.limits
        context = ProtocolContext(
            log=broker,
            store=WiredStore(self.wire),
            schemas=SimulatedSchemas(self._state.registry),
            clock=clock,
            metrics=self.metrics,
            limits=self._settings.dead_letter_limits,
            insert_interval=InsertInterval(limits.seconds, limits.most_seconds),
            rng=self._rng,
            new_salt=lambda: f"{self._rng.getrandbits(32):08x}",
        )

        def new_session() -> Session:
            member, topics = MemoryMember(broker, clock), TopicIds(broker.ids, clock)
            return Session(self._settings, context, member, topics, broker, dict(TOPICS), self._stop)

        try:
            await serve(new_session, self._stop, clock)
        except Killed:
            return
        except RunBusError as error:
            self._state.counts[f"exit {type(error).__name__}"] += 1
        finally:
            self.wire.cut()

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._task.done()

    def kill(self) -> None:
        """SIGKILL."""
        self.wire.cut()
        self._task.cancel()

    def terminate(self) -> None:
        """SIGTERM."""
        self._stop.set()
