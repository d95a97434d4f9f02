"""Loses, delays and repeats requests and answers between one process and the servers.

A process is killed by cutting its wire: nothing that its code still does has an effect, and what it had sent goes on
without it. A process is stopped by holding it: a request that was about to be sent is sent when it goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, StoreError
from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import DeadLetter, LogUnavailable, TopicIdPartition, TopicPartition
from runbus.sink.api import DeletedRange, FramedRecord, Route
from runbus.sink.container import Container
from runbus.sink.group import Restart
from tests.simulation.state import SimulationState

T = TypeVar("T")
_TIMEOUT_S = 2.0
_LATEST_S = 40.0


class Killed(BaseException):
    """The process is dead; not an Exception, so nothing in the code under test can catch it."""


class Wire:
    """Carries the requests of one process."""

    def __init__(self, state: SimulationState, seed: str) -> None:
        self.state = state
        self.rng = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.member = ""  # its id in the group now
        self._dead = False
        self._held = asyncio.Event()
        self._held.set()

    def cut(self) -> None:
        """Kill the process."""
        self._dead = True
        self._held.set()

    def hold(self) -> None:
        """Stop the process."""
        self._held.clear()

    def release(self) -> None:
        """Let it go on."""
        self._held.set()

    @property
    def alive(self) -> bool:
        """Whether the process can say anything now."""
        return not self._dead and self._held.is_set()

    async def running(self) -> None:
        """Return while the process runs; wait while it is stopped. Raises Killed."""
        await self._held.wait()
        if self._dead:
            raise Killed

    async def call(
        self, effect: Callable[[], Awaitable[T]], lost: type[Exception], *, changes: bool = False, late: bool = False
    ) -> T:
        """Send a request, return its answer.

        Args:
            effect: what the other side does.
            lost: raised if no answer comes.
            changes: the request changes something, so it may also be sent twice.
            late: it may also arrive after the process has given it up.
        """
        await self.running()
        try:
            return await asyncio.shield(asyncio.create_task(self._carry(effect, lost, changes=changes, late=late)))
        finally:
            await self.running()

    async def _carry(
        self, effect: Callable[[], Awaitable[T]], lost: type[Exception], *, changes: bool, late: bool
    ) -> T:
        profile, rng = self.state.profile, self.rng
        calm = self.state.calm
        draw = 1.0 if calm else rng.random()
        sent = rng.random() < 0.7  # a process that is killed now had sent it
        await asyncio.sleep(rng.uniform(0.0005, 0.02 if calm else 0.1))
        if self._dead and not sent:
            raise Killed
        if draw < profile.lost_requests:
            return await self._give_up("lost request", lost)
        draw -= profile.lost_requests
        if draw < profile.lost_answers:
            await self._ignore(effect)
            return await self._give_up("lost answer", lost)
        draw -= profile.lost_answers
        if late and draw < profile.late:
            self._later(effect)
            return await self._give_up("late", lost)
        result = await effect()
        if changes and not calm and rng.random() < profile.twice:
            self.faults["twice"] += 1
            self._later(effect)
        await asyncio.sleep(rng.uniform(0.0005, 0.02))
        return result

    async def _give_up(self, fault: str, lost: type[Exception]) -> T:
        self.faults[fault] += 1
        await asyncio.sleep(_TIMEOUT_S)
        raise lost("no answer")

    def _later(self, effect: Callable[[], Awaitable[object]]) -> None:
        seconds = self.rng.uniform(0.0, _LATEST_S)

        async def arrive() -> None:
            await asyncio.sleep(seconds)
            await self._ignore(effect)

        self.state.keep(asyncio.create_task(arrive()))

    async def _ignore(self, effect: Callable[[], Awaitable[object]]) -> None:
        try:
            await effect()
        except (StoreError, LogUnavailable, Restart):
            return


class WiredClock:
    """Tells the loop's time to the process."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def now(self) -> float:
        """Return virtual seconds."""
        return self._wire.state.now()

    async def sleep(self, seconds: float) -> None:
        """Wait; at least 0.2 s, so that polling takes fewer turns."""
        await asyncio.sleep(max(seconds, 0.2))
        await self._wire.running()


class WiredStore:
    """Sends calls of the store over a wire; see api.Store."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._server = wire.state.server

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert."""
        await self._wire.call(lambda: self._server.insert(table, container, token), Ambiguous, changes=True, late=True)

    async def rows(self, route: Route, partition: TopicIdPartition, lo: int, hi: int) -> dict[int, int]:
        """Count."""
        return await self._ask(lambda: self._server.tables.rows(route, partition, lo, hi))

    async def newest(self, route: Route, partition: TopicIdPartition, lo: int) -> int:
        """Look ahead."""
        return await self._ask(lambda: self._server.tables.newest(route, partition, lo))

    async def sequence(self, route: Route, partition: TopicIdPartition, offset: int) -> set[int]:
        """Read the seq of a record."""
        return await self._ask(lambda: self._server.tables.sequence(route, partition, offset))

    async def record_lost(self, deleted: DeletedRange) -> None:
        """Keep a loss."""
        await self._ask(lambda: self._server.tables.record_lost(deleted))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        return await self._wire.call(lambda: self._server.ask(question), Ambiguous)


class WiredBroker:
    """Sends calls of log, coordinator and topics over a wire; see api.Log, group.py, memory.group.Coordinator."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._log = wire.state.log
        self._group = wire.state.group

    async def join(self, topics: Iterable[str]) -> str:
        """Join the group."""
        member = await self._ask(lambda: self._group.join(topics))
        self._wire.state.seen[member] = self._wire
        self._wire.member = member
        return member

    async def heartbeat(self, member: str, owned: frozenset[TopicPartition]) -> frozenset[TopicPartition]:
        """Heartbeat."""
        return await self._ask(lambda: self._group.heartbeat(member, owned))

    async def commit(self, member: str, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit; the oracle looks at each."""

        async def effect() -> None:
            await self._group.commit(member, position, offset, intent)
            self._wire.state.committed(position, offset, intent)

        late = self._wire.state.profile.late_commits
        await self._ask(effect, changes=late, late=late)

    async def fetch(self, at: dict[TopicPartition, int], limit: int) -> dict[TopicPartition, list[FramedRecord]]:
        """Read."""
        return await self._ask(lambda: self._group.fetch(at, limit))

    async def leave(self, member: str) -> None:
        """Leave the group."""
        await self._ask(lambda: self._group.leave(member))

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter."""
        await self._ask(lambda: self._log.dead_letter(letter))

    async def committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Ask what the group committed."""
        return await self._ask(lambda: self._log.offsets(positions))

    async def bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Ask for the bounds of the log."""
        return await self._ask(lambda: self._log.bounds(positions))

    async def ids(self) -> dict[str, str]:
        """Ask for the topics' ids."""
        return await self._ask(self._log.ids)

    async def _ask(self, question: Callable[[], Awaitable[T]], *, changes: bool = False, late: bool = False) -> T:
        broker = self._wire.state.broker
        return await self._wire.call(lambda: broker.ask(question), LogUnavailable, changes=changes, late=late)
