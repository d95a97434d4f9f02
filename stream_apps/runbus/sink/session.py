"""Runs one membership in the consumer group: starts and ends a flow for each partition that is assigned and revoked.

All state is on the event loop. The consumer's thread waits inside a rebalance callback until the loop has opened or
closed the partitions, so no partition has two owners inside one process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from runbus.config.errors import RunBusError
from runbus.kafka.commit_metadata import Committed
from runbus.kafka.model import Fenced, LogUnavailable, TopicIdPartition, TopicPartition
from runbus.service.background import BackgroundTasks
from runbus.sink.api import Clock, Route
from runbus.sink.context import ProtocolContext
from runbus.sink.flow import Flow
from runbus.sink.group import GroupMember, GroupOffsets, Restart, TopicIdLookup
from runbus.sink.lease import MemberLease
from runbus.sink.opening import opening
from runbus.sink.settings import SinkSettings

log = logging.getLogger(__name__)
_READ_RECORDS = 500
# Commits queue behind a read, so it is short; librdkafka fetches and heartbeats on its own threads meanwhile.
_READ_S = 0.02
# For the callback that takes away a partition whose commit was refused; it normally comes within a heartbeat. Past this
# the member starts anew.
_REFUSED_S = 5.0
# Between two looks at the ids of the topics, and at whether the consumer still returns.
_TOPICS_S = 3.0
# So many looks in a row at which the broker answered and the consumer had not returned since the look before: its call
# will not return any more. Far more than the longest that a broker that answers lets it wait (three requests of 10 s
# each while partitions come, `REVOKE_S` while they go). Looks and not seconds: a process that was stopped (SIGSTOP) has
# not looked meanwhile.
_HUNG_LOOKS = 12
# Between two memberships: the cause of an end (a topic that is being created again) may last a moment.
_RESTART_S = 1.0
# For leaving the group, so that a broker that is away does not hold up the end of the process. Longer than the
# callback inside it.
_CLOSE_S = 12.0
# For all that a revocation waits for, of all its partitions together: commits of what is delivered, and answers to
# commits that are under way. It guards against a log that hangs: the callback blocks the consumer's thread, and with it
# records and commits of every partition that stays.
#   max.poll.interval.ms  60 s: past it the group removes a member whose callback still runs.
#   session               20 s (RUNBUS_SINK_SESSION_SECONDS), 45 s if the broker sets it (KIP-848): never more than
#                         half of what is set, so that the member is in the group when it joins again.
#   SIGTERM               grace (8 s) for inserts, then this, inside `_CLOSE_S`: 8 + 12 + 1 s, and 8 s for the other
#                         clients and the probes (process.py), are less than the 30 s of the chart and of compose.
# What is not completed within it is replayed by the next owner, exactly.
REVOKE_S = 10.0
_LEFT_S = 1.0  # the same, if the callback did not come: a broker that does not answer now will not answer in time


async def serve(new_session: Callable[[], Session], stop: asyncio.Event, clock: Clock) -> None:
    """Run session after session until stopped. Raises RunBusError if a person has to act."""
    while not stop.is_set():
        try:
            await new_session().run()
        except Restart as restart:
            log.warning("sink.restart %s", restart)
            await clock.sleep(_RESTART_S)


class Session:
    """Runs one consumer from subscribe to close.

    Args:
        settings: of the process.
        context: of the protocol.
        member: the consumer.
        topics: ids of the topics.
        offsets: of the group.
        routes: full topic name -> tables.
        stop: set once the process is asked to end.
    """

    def __init__(
        self,
        settings: SinkSettings,
        context: ProtocolContext,
        member: GroupMember,
        topics: TopicIdLookup,
        offsets: GroupOffsets,
        routes: dict[str, Route],
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._context = context
        self._member = member
        self._topics = topics
        self._offsets = offsets
        self._routes = routes
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._background = BackgroundTasks()
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self.flows: dict[TopicPartition, Flow] = {}
        self.joined = False  # the group has assigned partitions, or none
        self._closed = False
        self.turned_at = context.clock.now()

    async def run(self) -> None:
        """Store until stopped. Raises Restart, or RunBusError if a person has to act."""
        await self._member.subscribe(list(self._routes), self._open, self._revoke)
        self._background.start(self._watch_topics())
        try:
            await self._background.run(self._read())
            await self._finish()
        finally:
            await self._close()

    async def _read(self) -> None:
        while not self._stop.is_set():
            self._background.raise_error()
            batch = await self._member.read(_READ_RECORDS, _READ_S)
            self.turned_at = self._context.clock.now()
            for position, records in batch.records.items():
                flow = self.flows.get(position)
                if flow is not None:  # else it was read just before its revocation
                    flow.add(records)
            for position, offset in batch.reached.items():  # after the records before it
                flow = self.flows.get(position)
                if flow is not None:
                    flow.reached(offset)

    async def _watch_topics(self) -> None:
        """Raise Restart once a topic was re-created under its name, also while nothing is read from it.

        And once the consumer hangs though the broker answers: librdkafka 2.16's commit waits for its answer without a
        limit, and after an outage of some seconds under load that answer may never come. The client is left behind; as
        it does not poll, the group removes it within max.poll.interval.ms.
        """
        hung, turned_at = 0, self.turned_at
        while True:
            await asyncio.sleep(_TOPICS_S)
            try:
                ids = await self._topics.ids(self._context.clock.now())
            except LogUnavailable:
                hung = 0  # whatever the consumer waits for, the broker is away
                continue
            for position, flow in self.flows.items():
                if ids.get(position.topic) != flow.lease.source.topic_id:
                    raise Restart(f"topic {position.topic} was deleted or re-created")
            hung = hung + 1 if turned_at == self.turned_at else 0
            turned_at = self.turned_at
            if hung == _HUNG_LOOKS:
                raise Restart(f"the broker answers, and the consumer has not returned for {hung * _TOPICS_S:.0f} s")

    # --- partitions -----------------------------------------------------------------------------------------------

    async def _open(self, positions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Start a flow for each partition; return the first offset to read of each. Wait for a broker that is away."""
        if self._closed:  # a consumer that hung came back: another session has taken over
            return {}
        if not positions:
            self.joined = True
            return {}
        log.info("sink.assigned %s", ", ".join(map(str, positions)))
        try:
            ids = await self._answered(lambda: self._topics.ids(self._context.clock.now()))
            committed = await self._answered(lambda: self._offsets.committed(positions))
            bounds = await self._answered(lambda: self._offsets.bounds(positions))
            starts = {p: self._start(p, ids.get(p.topic), committed.get(p), bounds[p]) for p in positions}
        except (RunBusError, Restart) as error:
            self._background.error = self._background.error or error
            return dict.fromkeys(positions, 0)
        self.joined = True
        return starts

    def _start(
        self, position: TopicPartition, topic_id: str | None, committed: Committed | None, bounds: tuple[int, int]
    ) -> int:
        """Start the flow of one partition; return the first offset to read."""
        if topic_id is None:
            raise Restart(f"topic {position.topic} is gone")
        start = opening(committed, topic_id, *bounds)
        source = TopicIdPartition(position.topic, topic_id, position.partition)
        lease = MemberLease(self._member, source, self._topics)
        lease.committed = start.lo if start.known else -1
        flow = Flow(
            self._context,
            self._member,
            lease,
            self._routes[position.topic],
            start,
            self._settings.limits,
            skip_lost=self._settings.skip_lost,
        )
        self.flows[position] = flow
        self._tasks[position] = self._background.start(self._work(position, flow))
        return start.read_from

    async def _work(self, position: TopicPartition, flow: Flow) -> None:
        try:
            await flow.run()
        except Fenced as fenced:
            self._context.metrics.fenced += 1
            log.warning("sink.fenced partition=%s: %s", position, fenced)
            await asyncio.sleep(_REFUSED_S)  # cancelled by the callback that takes the partition away
            raise Restart(f"{position} was refused but not taken away") from fenced
        except (RunBusError, Restart):
            raise
        except Exception as error:
            log.exception("sink.flow partition=%s", position)
            raise Restart(f"{position}: {error}") from error

    async def _revoke(self, positions: list[TopicPartition], lost: bool) -> None:
        """Stop the flows and commit what they delivered; the next owner replays what is under way."""
        self.joined &= not lost
        if positions:
            log.info("sink.%s %s", "lost" if lost else "revoked", ", ".join(map(str, positions)))
        await self._leave(positions, min(REVOKE_S, self._settings.session_seconds / 2), completing=not lost)

    async def _leave(self, positions: list[TopicPartition], seconds: float, *, completing: bool) -> None:
        """Commit what is delivered and close the leases, all before one deadline."""
        deadline = self._loop.time() + seconds
        owned = [(self.flows.pop(p), self._tasks.pop(p)) for p in positions if p in self.flows]
        delivered = [flow for flow, _ in owned if completing and not flow.delivering]
        for _, task in owned:
            task.cancel()
        await self._complete_all(delivered, seconds / 2)  # half: the rest is for answers to commits under way
        await asyncio.gather(*(flow.lease.close(deadline - self._loop.time()) for flow, _ in owned))
        for flow, _ in owned:
            self._context.metrics.paused.pop(flow.lease.source.position, None)

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

    async def _answered(self, question: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - its own result
        while True:
            try:
                return await question()
            except LogUnavailable as error:
                if self._stop.is_set():
                    raise Restart("stopped") from error
                self.turned_at = self._context.clock.now()  # the broker is stuck, not this loop
                log.warning("sink.waiting for the broker: %s", error)
                await asyncio.sleep(1.0)

    # --- the end --------------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Let inserts under way end within the grace; begin no other."""
        for flow in self.flows.values():
            flow.stop()
        busy = [task for position, task in self._tasks.items() if self.flows[position].delivering]
        if busy:
            _, late = await asyncio.wait(busy, timeout=self._settings.grace_seconds)
            if late:
                log.warning("sink.abandoned %d ranges at the end of the grace: the next owner replays them", len(late))

    async def _close(self) -> None:
        """Leave the group; the callback of the revocation runs inside it."""
        self._closed = True
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._member.close()
        except TimeoutError:
            log.warning("sink.close: the broker did not answer in %.0f s", _CLOSE_S)
        await self._leave(list(self.flows), _LEFT_S, completing=False)
        await self._background.cancel()


def _not_completed(flow: Flow, why: str) -> None:
    log.warning("sink.not_completed partition=%s: its next owner replays a range: %s", flow.lease.source, why)
