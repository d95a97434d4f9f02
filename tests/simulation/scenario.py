"""One seed: steps are produced, everything goes wrong, then calm returns and all must be stored, each once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from runbus.kafka.commit_metadata import Committed
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.process import Process
from tests.simulation.profile import Profile, draw
from tests.simulation.retries import Retry
from tests.simulation.universe import Universe, Violation

# Longest wait of anything in the sink (a back-off of 30 s, an expelled ghost of 10 s), several times over.
_CALM_S = 400.0
# Nothing that was sent arrives later than this.
_LATEST_S = 45.0


def simulate(seed: int) -> Counter[str]:
    """Run one seed; return what happened in it. Raises Violation."""
    profile = draw(seed)
    loop = VirtualLoop()
    loop.set_exception_handler(lambda *_: None)  # tasks of killed processes end as they may
    asyncio.set_event_loop(None)
    try:
        return loop.run_until_complete(_Story(profile).run())
    except Stuck as stuck:
        raise Violation("nothing will ever happen again") from stuck
    finally:
        _end(loop)


def _end(loop: VirtualLoop) -> None:
    """End what still runs, and the loop."""
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


class _Story:
    """The hands that do things to a universe."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.rng = random.Random(profile.seed)
        self.universe = Universe(profile, self.rng)
        self.processes: list[Process] = []
        self.dead: list[Process] = []
        self.retries: list[Retry] = []
        self._started = 0
        self._may_start = asyncio.Event()  # not while an operator works
        self._may_start.set()

    async def run(self) -> Counter[str]:
        """Be the whole story."""
        hands = [asyncio.create_task(hand) for hand in self._hands()]
        self._keep_running()
        for _ in range(self.profile.records):
            self.universe.produce()
            await asyncio.sleep(self.rng.expovariate(self.profile.records / self.profile.seconds))
        await asyncio.sleep(self.rng.uniform(0.0, 10.0))
        await self._may_start.wait()
        for hand in hands:
            hand.cancel()
        await self._calm()
        self.universe.check()
        return self._counts()

    async def _calm(self) -> None:
        universe = self.universe
        universe.calm = universe.registry.knows = True
        universe.broker.away_until = universe.server.away_until = 0.0
        universe.server.refusal = None
        for wire in [process.wire for process in self.processes] + [retry.wire for retry in self.retries]:
            wire.release()
        if self.profile.late_commits:  # an idle owner does not see that its commit was overtaken; its successor does
            await asyncio.sleep(_LATEST_S)
            for process in list(self.processes):
                process.kill()
                self._bury(process)
        deadline = universe.now() + _CALM_S
        while not universe.settled():
            universe.expel_the_silent()
            self._keep_running()
            if universe.now() > deadline:
                paused = [dict(p.metrics.paused) for p in self.processes if not p.ended]
                raise Violation(f"not settled {_CALM_S:.0f} s after the last fault: {universe.log.committed}, {paused}")
            await asyncio.sleep(0.5)
        await asyncio.sleep(_LATEST_S)  # what was sent long ago arrives now
        if self.profile.retries_every:
            await self._last_retry()
        for process in self.dead + self.processes:
            process.kill()

    async def _last_retry(self) -> None:
        """Retry what is still dead, in peace: then everything that can be read is stored."""
        self.retries.append(Retry(self.universe, "last retry"))
        await self.retries[-1].task
        self.universe.retried = True

    def _keep_running(self) -> None:
        """Start sinks until there are as many as there should be."""
        for process in [p for p in self.processes if p.ended]:
            self._bury(process)
        while len(self.processes) < self.profile.sinks and self._may_start.is_set():
            self._started += 1
            self.processes.append(Process(self.universe, f"sink-{self._started}"))

    def _bury(self, process: Process) -> None:
        self.processes.remove(process)
        self.dead.append(process)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _hands(self) -> list[Any]:
        profile = self.profile
        return [
            self._again(1.0, self._supervise, exact=True),
            self._again(profile.kills_every, self._kill),
            self._again(profile.stops_every, self._stop),
            self._again(profile.joins_every, self._join_or_leave),
            self._again(profile.store_kills_every, self._kill_store),
            self._again(profile.store_refuses_every, self._refuse),
            self._again(profile.broker_away_every, self._broker_away),
            self._once(profile.recreated, self._recreate),
            self._once(profile.retention, self._retention),
            self._once(profile.rewound, self._rewind),
            self._once(profile.learned, self._learn),
            self._again(profile.retries_every, self._retry),
        ]

    async def _again(self, every: float, act: Callable[[], Awaitable[None]], *, exact: bool = False) -> None:
        while every:
            await asyncio.sleep(every if exact else self.rng.expovariate(1 / every))
            await act()

    async def _once(self, wanted: bool, act: Callable[[], Awaitable[None]]) -> None:
        if wanted:
            await asyncio.sleep(self.rng.uniform(0.0, self.profile.seconds))
            await act()

    async def _supervise(self) -> None:
        self.universe.expel_the_silent()
        self._keep_running()

    async def _kill(self) -> None:
        if self.processes:
            process = self.rng.choice(self.processes)
            process.kill()
            self.universe.counts["kills"] += 1
            self._bury(process)
            if self.rng.random() < 0.7:  # a static member that starts again is let in at once
                self.universe.forget(process.wire)
                self._keep_running()

    async def _stop(self) -> None:
        if self.processes:
            process = self.rng.choice(self.processes)
            process.wire.hold()
            self.universe.counts["stops"] += 1
            await asyncio.sleep(self.rng.choice((0.5, 5.0, 12.0, 30.0)))
            process.wire.release()

    async def _join_or_leave(self) -> None:
        if self.rng.random() < 0.5 and len(self.processes) > 1:
            self.rng.choice(self.processes).terminate()
        elif len(self.processes) < 4 and self._may_start.is_set():
            self._started += 1
            self.processes.append(Process(self.universe, f"sink-{self._started}"))

    async def _kill_store(self) -> None:
        self.universe.server.kill(self.rng.uniform(0.0, 5.0))
        self.universe.counts["store kills"] += 1

    async def _refuse(self) -> None:
        self.universe.server.refuse()
        await asyncio.sleep(self.rng.uniform(0.5, 10.0))
        self.universe.server.refusal = None
        self.universe.counts["refusals"] += 1

    async def _broker_away(self) -> None:
        self.universe.broker.away_until = self.universe.now() + self.rng.uniform(0.5, 15.0)
        self.universe.counts["broker away"] += 1

    async def _recreate(self) -> None:
        self.universe.recreate(self.rng.choice(("steps", "runs")))

    async def _retention(self) -> None:
        for position in self.universe.positions:
            committed = self.universe.log.committed.get(position, Committed(0, None))
            self.universe.log.delete(position, committed.offset + self.rng.randint(-5, 5))
        self.universe.counts["retention"] += 1

    async def _learn(self) -> None:
        self.universe.registry.knows = True

    async def _retry(self) -> None:
        """Start a retry beside those that still run; it may be stopped, and it may be killed."""
        if not self._may_start.is_set():
            return
        retry = Retry(self.universe, f"retry-{len(self.retries)}")
        self.retries.append(retry)
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        if self.rng.random() < 0.4:
            retry.wire.hold()
            await asyncio.sleep(self.rng.choice((0.5, 5.0, 30.0)))
            retry.wire.release()
        elif self.rng.random() < 0.4:
            retry.kill()

    async def _rewind(self) -> None:
        """Be the operator who moves the group's offsets back: Kafka wants the group empty for that, so do retries."""
        self._may_start.clear()
        for retry in self.retries:
            retry.kill()
        for process in list(self.processes):
            process.kill()
            self._bury(process)
        await asyncio.sleep(_LATEST_S)
        self.universe.expel_the_silent()
        for position in self.universe.positions:
            committed = self.universe.log.committed.get(position)
            if committed is not None and self.universe.knows(committed, position):
                low = self.universe.log.low.get(position, 0)
                offset = self.rng.randint(min(low, committed.offset), committed.offset)
                self.universe.log.committed[position] = Committed(offset, None)
        self.universe.counts["rewound"] += 1
        self._may_start.set()

    def _counts(self) -> Counter[str]:
        counts = self.universe.counts
        for process in self.dead + self.processes:
            counts += _told(process)
        for retry in self.retries:
            counts += retry.wire.faults
            counts["retried"] += retry.stored
        counts["retries"] += len(self.retries)
        counts["torn inserts"] += self.universe.server.torn
        counts["lost ranges"] += len(self.universe.tables.lost)
        counts["virtual seconds"] += round(self.universe.now())
        return counts


def _told(process: Process) -> Counter[str]:
    """Return what a process counted."""
    metrics = process.metrics
    names = ("ranges", "replays", "verified", "repairs", "dead_letters", "fenced")
    return Counter({name: getattr(metrics, name) for name in names}) + process.wire.faults


__all__ = ["Violation", "simulate"]
