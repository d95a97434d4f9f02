"""Runs one seed: records are produced while faults happen; then the faults end and each record must be stored once."""

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
from tests.simulation.state import SimulationState, Violation

# Several times the longest wait in the sink (a back-off of 30 s, an expelled member of 10 s).
_CALM_S = 400.0
# Every request arrives within this.
_LATEST_S = 45.0


def simulate(seed: int) -> Counter[str]:
    """Run one seed; return what happened in it. Raises Violation."""
    profile = draw(seed)
    loop = VirtualLoop()
    loop.set_exception_handler(lambda *_: None)  # tasks of killed processes end as they may
    asyncio.set_event_loop(None)
    try:
        return loop.run_until_complete(_Scenario(profile).run())
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


class _Scenario:
    """Produces records and injects faults."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.rng = random.Random(profile.seed)
        self.state = SimulationState(profile, self.rng)
        self.processes: list[Process] = []
        self.dead: list[Process] = []
        self.retries: list[Retry] = []
        self._started = 0
        self._may_start = asyncio.Event()  # cleared while an operator works
        self._may_start.set()

    async def run(self) -> Counter[str]:
        """Run it all."""
        faults = [asyncio.create_task(fault) for fault in self._faults()]
        self._keep_running()
        for _ in range(self.profile.records):
            self.state.produce()
            await asyncio.sleep(self.rng.expovariate(self.profile.records / self.profile.seconds))
        await asyncio.sleep(self.rng.uniform(0.0, 10.0))
        await self._may_start.wait()
        for fault in faults:
            fault.cancel()
        await self._calm()
        self.state.check()
        return self._counts()

    async def _calm(self) -> None:
        state = self.state
        state.calm = state.registry.knows = True
        state.broker.away_until = state.server.away_until = 0.0
        state.server.refusal = None
        for wire in [process.wire for process in self.processes] + [retry.wire for retry in self.retries]:
            wire.release()
        if self.profile.late_commits:  # an idle owner does not see an older commit over its own; its successor does
            await asyncio.sleep(_LATEST_S)
            for process in list(self.processes):
                process.kill()
                self._retire(process)
        deadline = state.now() + _CALM_S
        while not state.settled():
            state.expel_silent_members()
            self._keep_running()
            if state.now() > deadline:
                paused = [dict(p.metrics.paused) for p in self.processes if not p.ended]
                raise Violation(f"not settled {_CALM_S:.0f} s after the last fault: {state.log.committed}, {paused}")
            await asyncio.sleep(0.5)
        await asyncio.sleep(_LATEST_S)  # what was sent long ago arrives now
        if self.profile.retries_every:
            await self._last_retry()
        for process in self.dead + self.processes:
            process.kill()

    async def _last_retry(self) -> None:
        """Retry without faults: then everything readable is stored."""
        self.retries.append(Retry(self.state, "last retry"))
        await self.retries[-1].task
        self.state.retried = True

    def _keep_running(self) -> None:
        """Start sinks until there are as many as there should be."""
        for process in [p for p in self.processes if p.ended]:
            self._retire(process)
        while len(self.processes) < self.profile.sinks and self._may_start.is_set():
            self._started += 1
            self.processes.append(Process(self.state, f"sink-{self._started}"))

    def _retire(self, process: Process) -> None:
        self.processes.remove(process)
        self.dead.append(process)

    # --- faults --------------------------------------------------------------------------------------------------

    def _faults(self) -> list[Any]:
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
        self.state.expel_silent_members()
        self._keep_running()

    async def _kill(self) -> None:
        if self.processes:
            process = self.rng.choice(self.processes)
            process.kill()
            self.state.counts["kills"] += 1
            self._retire(process)
            if self.rng.random() < 0.7:  # a static member that starts again is let in at once
                self.state.forget(process.wire)
                self._keep_running()

    async def _stop(self) -> None:
        if self.processes:
            process = self.rng.choice(self.processes)
            process.wire.hold()
            self.state.counts["stops"] += 1
            await asyncio.sleep(self.rng.choice((0.5, 5.0, 12.0, 30.0)))
            process.wire.release()

    async def _join_or_leave(self) -> None:
        if self.rng.random() < 0.5 and len(self.processes) > 1:
            self.rng.choice(self.processes).terminate()
        elif len(self.processes) < 4 and self._may_start.is_set():
            self._started += 1
            self.processes.append(Process(self.state, f"sink-{self._started}"))

    async def _kill_store(self) -> None:
        self.state.server.kill(self.rng.uniform(0.0, 5.0))
        self.state.counts["store kills"] += 1

    async def _refuse(self) -> None:
        self.state.server.refuse()
        await asyncio.sleep(self.rng.uniform(0.5, 10.0))
        self.state.server.refusal = None
        self.state.counts["refusals"] += 1

    async def _broker_away(self) -> None:
        self.state.broker.away_until = self.state.now() + self.rng.uniform(0.5, 15.0)
        self.state.counts["broker away"] += 1

    async def _recreate(self) -> None:
        self.state.recreate(self.rng.choice(("steps", "runs")))

    async def _retention(self) -> None:
        for position in self.state.positions:
            committed = self.state.log.committed.get(position, Committed(0, None))
            self.state.log.delete(position, committed.offset + self.rng.randint(-5, 5))
        self.state.counts["retention"] += 1

    async def _learn(self) -> None:
        self.state.registry.knows = True

    async def _retry(self) -> None:
        """Start a retry beside those that still run; it may be stopped or killed."""
        if not self._may_start.is_set():
            return
        retry = Retry(self.state, f"retry-{len(self.retries)}")
        self.retries.append(retry)
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        if self.rng.random() < 0.4:
            retry.wire.hold()
            await asyncio.sleep(self.rng.choice((0.5, 5.0, 30.0)))
            retry.wire.release()
        elif self.rng.random() < 0.4:
            retry.kill()

    async def _rewind(self) -> None:
        """Move the group's offsets back, as an operator does: the group must be empty, and no retry may run."""
        self._may_start.clear()
        for retry in self.retries:
            retry.kill()
        for process in list(self.processes):
            process.kill()
            self._retire(process)
        await asyncio.sleep(_LATEST_S)
        self.state.expel_silent_members()
        for position in self.state.positions:
            committed = self.state.log.committed.get(position)
            if committed is not None and self.state.knows(committed, position):
                low = self.state.log.low.get(position, 0)
                offset = self.rng.randint(min(low, committed.offset), committed.offset)
                self.state.log.committed[position] = Committed(offset, None)
        self.state.counts["rewound"] += 1
        self._may_start.set()

    def _counts(self) -> Counter[str]:
        counts = self.state.counts
        for process in self.dead + self.processes:
            counts += _counted(process)
        for retry in self.retries:
            counts += retry.wire.faults
            counts["retried"] += retry.stored
        counts["retries"] += len(self.retries)
        counts["torn inserts"] += self.state.server.torn
        counts["lost ranges"] += len(self.state.tables.lost)
        counts["virtual seconds"] += round(self.state.now())
        return counts


def _counted(process: Process) -> Counter[str]:
    """Return the counts of a process."""
    metrics = process.metrics
    names = ("ranges", "replays", "verified", "repairs", "dead_letters", "fenced")
    return Counter({name: getattr(metrics, name) for name in names}) + process.wire.faults


__all__ = ["Violation", "simulate"]
