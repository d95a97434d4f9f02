"""Runs a sink that kills or stops itself, by SIGKILL or SIGSTOP, the nth time it comes to a named point.

    python -m tests.faults.sink.points POINT N KILL|STOP

Nothing of the sink is changed but what happens at that point: a signal from outside never hits it reliably.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import runpy
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from runbus.sink.log import KafkaMember
from runbus.sink.store import ClickHouseStore

_DURING_S = 0.003  # an insert takes 5 ms and more
Call = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Point:
    """A call at which the process dies or stops.

    Attributes:
        owner: class of the method; None = a callback of the group.
        name: of the method.
        when: before it is called, while its answer is awaited, or after it returned.
        only: which calls count, by their arguments.
    """

    owner: type | None
    name: str
    when: Literal["before", "during", "after"]
    only: Callable[..., bool] = lambda *_: True


def _announces(position: Any, offset: int, intent: Any) -> bool:
    return bool(intent.pending) and position.topic.endswith("steps")


def _of_steps(table: str, _container: object, token: str) -> bool:
    return table == "steps_landing" and "#" not in token


def _repairs(table: str, _container: object, token: str) -> bool:
    return table == "steps_landing" and "#" in token


def _counts_steps(route: Any, *_: object) -> bool:
    return bool(route.batched)


def _some(positions: list[Any], *_: object) -> bool:
    return any(position.topic.endswith("steps") for position in positions)


POINTS: dict[str, Point] = {
    # the intent is about to be committed
    "announcing": Point(KafkaMember, "commit", "before", _announces),
    # the intent is committed, nothing is sent
    "announced": Point(KafkaMember, "commit", "after", _announces),
    # the insert is about to be sent: what a zombie still sends when it wakes up
    "sending": Point(ClickHouseStore, "insert", "before", _of_steps),
    # the insert is on its way, or done: nobody heard of it
    "inserting": Point(ClickHouseStore, "insert", "during", _of_steps),
    # the rows are there, no commit says so
    "stored": Point(ClickHouseStore, "insert", "after", _of_steps),
    # a replay is about to count, or has counted
    "counting": Point(ClickHouseStore, "rows", "before", _counts_steps),
    "counted": Point(ClickHouseStore, "rows", "after", _counts_steps),
    # a repair is about to be sent, on its way, done
    "repairing": Point(ClickHouseStore, "insert", "before", _repairs),
    "mending": Point(ClickHouseStore, "insert", "during", _repairs),
    "repaired": Point(ClickHouseStore, "insert", "after", _repairs),
    # inside the callbacks of a rebalance: partitions come, partitions go
    "assigning": Point(None, "on_assigned", "before", _some),
    "assigned": Point(None, "on_assigned", "after", _some),
    "revoking": Point(None, "on_revoked", "before", _some),
    "revoked": Point(None, "on_revoked", "after", _some),
}
#: those that a sink comes to by itself while steps flow
ANYTIME = ("announcing", "announced", "sending", "inserting", "stored", "assigning", "assigned")


@dataclass(slots=True)
class _Trigger:
    """Ends or stops this process at the nth call that counts; a process that went on after a stop is left alone."""

    point: Point
    nth: int
    signal: signal.Signals
    _calls: itertools.count[int]

    def wrap(self, call: Call, *, method: bool) -> Call:
        """Return the call with the point in it."""

        async def deadly(*args: Any) -> Any:
            if not self.point.only(*args[method:]) or next(self._calls) != self.nth:
                return await call(*args)
            if self.point.when == "before":
                os.kill(os.getpid(), self.signal)
                return await call(*args)
            if self.point.when == "during":
                task = asyncio.ensure_future(call(*args))
                await asyncio.wait({task}, timeout=_DURING_S)
                os.kill(os.getpid(), self.signal)
                return await task
            result = await call(*args)
            os.kill(os.getpid(), self.signal)
            return result

        return deadly


def arm(name: str, nth: int, by: signal.Signals) -> None:
    """Make the nth call of the point's method special."""
    point = POINTS[name]
    trigger = _Trigger(point, nth, by, itertools.count(1))
    if point.owner is not None:
        setattr(point.owner, point.name, trigger.wrap(getattr(point.owner, point.name), method=True))
        return
    subscribe = KafkaMember.subscribe

    async def subscribing(self: KafkaMember, topics: list[str], on_assigned: Call, on_revoked: Call) -> None:
        calls = {"on_assigned": on_assigned, "on_revoked": on_revoked}
        calls[point.name] = trigger.wrap(calls[point.name], method=False)
        await subscribe(self, topics, **calls)

    KafkaMember.subscribe = subscribing  # type: ignore[method-assign]


def main() -> None:
    """Arm the point and run the sink."""
    name, nth, by = sys.argv[1:4]
    arm(name, int(nth), signal.Signals[f"SIG{by}"])
    sys.argv = ["runbus.sink"]
    runpy.run_module("runbus.sink", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
