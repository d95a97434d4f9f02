"""One membership in the consumer group: partitions come and go, each with a flow of its own.

All state lives on the event loop. The consumer's thread waits inside a rebalance callback until the loop has opened or
closed the partitions, so nothing is ever owned twice inside one process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from runbus.config.errors import RunBusError
from runbus.kafka.commit_metadata import Committed
from runbus.kafka.model import Fenced, LogUnavailable, TopicPartition
from runbus.sink.api import Clock, Route
from runbus.sink.context import ProtocolContext
from runbus.sink.flow import Flow
from runbus.sink.group import Member, Offsets, Restart, Topics
from runbus.sink.lease import MemberLease
from runbus.sink.opening import opening
from runbus.sink.settings import SinkSettings

log = logging.getLogger(__name__)
_READ_RECORDS = 500
# Commits queue behind a read, so it is short; librdkafka fetches and heartbeats on its own threads meanwhile.
_READ_S = 0.02
# How long a partition that the coordinator refused may stay assigned to us before the member starts anew: the callback
# that takes it away normally follows within a heartbeat.
_REFUSED_S = 5.0
# How often the ids of the topics are looked at while nothing asks for them.
_TOPICS_S = 3.0
# Between two memberships: what ended one (a topic that is being created again) may need a moment.
_RESTART_S = 1.0
# Leaving the group; a broker that is away must not hold up the end of the process. Longer than the callback inside it.
_CLOSE_S = 12.0
# For everything that a revocation waits for, of all its partitions together: commits that say what is delivered, and
# answers to commits that are under way. It guards against a log that hangs: the callback stops the consumer's thread,
# and with it the records and commits of every partition that stays.
#   max.poll.interval.ms  300 s: past it the group takes everything away from a member whose callback runs.
#   session               20 s (RUNBUS_SINK_SESSION_SECONDS), 45 s where the broker says it (KIP-848): never more than
#                         half of what is set, so that the member is in the group when it joins again.
#   SIGTERM               grace (8 s) for inserts, then this, inside `_CLOSE_S`: 8 + 12 + 1 s, and 6 s for the clients
#                         of heartbeats and offsets, are less than the 30 s of the chart and of compose.
# What is not completed within it is replayed by the next owner, exactly.
REVOKE_S = 10.0
_LEFT_S = 1.0  # the same, where the callback did not come: whoever does not answer now will not answer in time


async def serve(new_session: Callable[[], Session], stop: asyncio.Event, clock: Clock) -> None:
    """Be a member of the group, again and again, until stopped. Raises RunBusError where a person has to act."""
    while not stop.is_set():
        try:
            await new_session().run()
        except Restart as restart:
            log.warning("sink.restart %s", restart)
            await clock.sleep(_RESTART_S)


class Session:
    """One consumer from subscribe to close.

    Args:
        settings: of the process.
        world: what the protocol acts on; its log is this session's member.
        member: the consumer.
        topics: ids of the topics.
        offsets: of the group.
        routes: full topic name -> tables.
        stop: set once the process was asked to end.
    """

    def __init__(
        self,
        settings: SinkSettings,
        world: ProtocolContext,
        member: Member,
        topics: Topics,
        offsets: Offsets,
        routes: dict[str, Route],
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._world = world
        self._member = member
        self._topics = topics
        self._offsets = offsets
        self._routes = routes
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self.flows: dict[TopicPartition, Flow] = {}
        self.joined = False  # the group said which partitions are ours, be it none
        self.turned_at = world.clock.now()

    async def run(self) -> None:
        """Work until stopped. Raises Restart, or RunBusError where a person has to act."""
        await self._member.subscribe(list(self._routes), self._open, self._give_away)
        watch = asyncio.create_task(self._watch_topics())
        try:
            await self._read()
            await self._finish()
        finally:
            watch.cancel()
            await self._close()

    async def _read(self) -> None:
        while not self._stop.is_set():
            if self._broken.done():
                self._broken.result()
            batch = await self._member.read(_READ_RECORDS, _READ_S)
            self.turned_at = self._world.clock.now()
            for position, records in batch.records.items():
                flow = self.flows.get(position)
                if flow is not None:  # else: read just before it was given away
                    flow.add(records)
            for position, offset in batch.reached.items():  # after the records, which stand before it
                flow = self.flows.get(position)
                if flow is not None:
                    flow.reached(offset)

    async def _watch_topics(self) -> None:
        """Notice a topic that was re-created under its name while nothing is read from it."""
        while True:
            await asyncio.sleep(_TOPICS_S)
            try:
                ids = await self._topics.ids(self._world.clock.now())
            except LogUnavailable:
                continue
            except RunBusError as error:
                self._break(error)
                return
            for position, flow in self.flows.items():
                if ids.get(position.topic) != flow.lease.topic_id:
                    self._break(Restart(f"topic {position.topic} was deleted or re-created"))

    # --- partitions -----------------------------------------------------------------------------------------------

    async def _open(self, positions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Start a flow for each partition; return where reading starts. A broker that is away is waited for."""
        if not positions:
            self.joined = True
            return {}
        log.info("sink.assigned %s", ", ".join(map(str, positions)))
        try:
            ids = await self._ask(lambda: self._topics.ids(self._world.clock.now()))
            committed = await self._ask(lambda: self._offsets.committed(positions))
            bounds = await self._ask(lambda: self._offsets.bounds(positions))
            starts = {p: self._start(p, ids.get(p.topic), committed.get(p), bounds[p]) for p in positions}
        except (RunBusError, Restart) as error:
            self._break(error)
            return dict.fromkeys(positions, 0)
        self.joined = True
        return starts

    def _start(
        self, position: TopicPartition, topic_id: str | None, committed: Committed | None, bounds: tuple[int, int]
    ) -> int:
        """Start the flow of one partition; return where reading starts."""
        if topic_id is None:
            raise Restart(f"topic {position.topic} is gone")
        start = opening(committed, topic_id, *bounds)
        lease = MemberLease(self._member, position, topic_id, self._topics)
        lease.committed = start.lo if start.known else -1
        flow = Flow(
            *(self._world, self._member, lease, self._routes[position.topic], start, self._settings.limits),
            skip_lost=self._settings.skip_lost,
        )
        self.flows[position] = flow
        self._tasks[position] = asyncio.create_task(self._work(position, flow))
        return start.read_from

    async def _work(self, position: TopicPartition, flow: Flow) -> None:
        try:
            await flow.run()
        except Fenced as fenced:
            self._world.tally.fenced += 1
            log.warning("sink.fenced partition=%s: %s", position, fenced)
            await asyncio.sleep(_REFUSED_S)  # cancelled by the callback that takes the partition away
            self._break(Restart(f"{position} was refused but not taken away"))
        except (RunBusError, Restart) as error:
            self._break(error)
        except Exception as error:
            log.exception("sink.flow partition=%s", position)
            self._break(Restart(f"{position}: {error}"))

    async def _give_away(self, positions: list[TopicPartition], lost: bool) -> None:
        """Stop the flows; what they had delivered is committed, what is under way is the next owner's to replay."""
        self.joined &= not lost
        if positions:
            log.info("sink.%s %s", "lost" if lost else "revoked", ", ".join(map(str, positions)))
        await self._leave(positions, min(REVOKE_S, self._settings.session_seconds / 2), completing=not lost)

    async def _leave(self, positions: list[TopicPartition], seconds: float, *, completing: bool) -> None:
        """Complete what is delivered and close the leases, all of them before one deadline."""
        deadline = self._loop.time() + seconds
        owned = [(self.flows.pop(p), self._tasks.pop(p)) for p in positions if p in self.flows]
        delivered = [flow for flow, _ in owned if completing and not flow.delivering]
        for _, task in owned:
            task.cancel()
        await self._complete_all(delivered, seconds / 2)  # half, so that answers to what is under way can still come
        await asyncio.gather(*(flow.lease.close(deadline - self._loop.time()) for flow, _ in owned))
        for flow, _ in owned:
            self._world.tally.paused.pop(flow.lease.position, None)

    async def _complete_all(self, flows: list[Flow], seconds: float) -> None:
        completions = {asyncio.create_task(self._complete(flow)): flow for flow in flows}
        if not completions:
            return
        done, late = await asyncio.wait(completions, timeout=seconds)
        for task in late:
            task.cancel()
            _not_completed(completions[task], "no answer in time")
        for task in done:
            task.result()

    async def _complete(self, flow: Flow) -> None:
        try:
            await flow.finish()
        except (LogUnavailable, Restart, RunBusError) as error:
            _not_completed(flow, str(error))

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - its own result
        while True:
            try:
                return await question()
            except LogUnavailable as error:
                if self._stop.is_set():
                    raise Restart("stopped") from error
                self.turned_at = self._world.clock.now()  # it is the broker that does not move
                log.warning("sink.waiting for the broker: %s", error)
                await asyncio.sleep(1.0)

    def _break(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    # --- the end --------------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Let inserts that are under way end, within the grace; begin no other."""
        for flow in self.flows.values():
            flow.stop()
        busy = [task for position, task in self._tasks.items() if self.flows[position].delivering]
        if busy:
            _, late = await asyncio.wait(busy, timeout=self._settings.grace_seconds)
            if late:
                log.warning("sink.abandoned %d ranges at the end of the grace: the next owner replays them", len(late))

    async def _close(self) -> None:
        """Leave the group: the callback of the revocation runs inside, and completes what is delivered."""
        try:
            await asyncio.wait_for(self._member.close(), _CLOSE_S)
        except TimeoutError:
            log.warning("sink.close: the broker did not answer in %.0f s", _CLOSE_S)
        await self._leave(list(self.flows), _LEFT_S, completing=False)
        if self._broken.done():
            self._broken.exception()  # retrieved, whoever raised it


def _not_completed(flow: Flow, why: str) -> None:
    log.warning("sink.not_completed partition=%s: its next owner replays a range: %s", flow.lease.position, why)
