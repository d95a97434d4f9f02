"""Runs a stream app that kills itself, by SIGKILL, the nth time it comes to a named point.

    python -m tests.faults.killing POINT N runbus.episodes

Nothing of the app is changed but what happens at that point: a signal from outside never hits it reliably.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import itertools
import os
import runpy
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Point:
    """A call at which the process dies.

    Attributes:
        where: module:class, or module.
        name: of the method or function.
        when: before it is called, or after it returned.
        times: one worker after the other dies at its nth call.
        only: the app that comes by; empty = both.
    """

    where: str
    name: str
    when: Literal["before", "after"]
    times: tuple[int, ...] = (1, 6, 9)  # the first four are those of the takeovers
    only: str = ""


_PRODUCER = "aiokafka.producer.producer:AIOKafkaProducer"
_OWNERSHIP = "runbus.streams.ownership:PartitionOwnership"

POINTS: dict[str, Point] = {
    # everything of a transaction is written, its commit is not asked for
    "written": Point(_PRODUCER, "commit_transaction", "before"),
    # the commit is done, nobody here knows it yet
    "committed": Point(_PRODUCER, "commit_transaction", "after"),
    # the transaction has the offset; state, emissions and dead letters are under way
    "offset-written": Point(_PRODUCER, "send_offsets_to_transaction", "after"),
    # the partition is ours, the state is read back
    "recovering": Point("runbus.streams.kafka:StateReader", "getmany", "after", (1, 3, 4)),
    # the group takes partitions away (its first call comes at the start, with none): before and after the last commit
    "revoking": Point(_OWNERSHIP, "revoked", "before", (2, 2)),
    "revoked": Point(_OWNERSHIP, "revoked", "after", (2, 2)),
    # the group gives partitions: they are about to be taken over
    "assigned": Point(_OWNERSHIP, "assigned", "after", (1, 1)),
    # an event that may repeat is sent, the state that says so is not committed
    "sent": Point("runbus.streams.best_effort:BestEffortProducer", "_send", "after", (1, 50, 100), "live-metrics"),
    # commits are done, but nothing that may repeat was ever sent
    "unsent": Point(_PRODUCER, "commit_transaction", "after", (5, 9), "live-metrics"),
}


def arm(point: Point, nth: int) -> None:
    """Make the nth call of the point's method the last thing that this process does."""
    module, _, owner_name = point.where.partition(":")
    owner: Any = importlib.import_module(module)
    owner = getattr(owner, owner_name) if owner_name else owner
    setattr(owner, point.name, _deadly(getattr(owner, point.name), point.when, nth))


def _deadly(original: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    calls = itertools.count(1)

    def die_if_it_is_time(moment: str, call: int) -> None:
        if moment == when and call >= nth:
            os.kill(os.getpid(), signal.SIGKILL)

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        call = next(calls)
        die_if_it_is_time("before", call)
        result = await original(*args, **kwargs)
        die_if_it_is_time("after", call)
        return result

    def called(*args: Any, **kwargs: Any) -> Any:
        call = next(calls)
        die_if_it_is_time("before", call)
        result = original(*args, **kwargs)
        die_if_it_is_time("after", call)
        return result

    return awaited if inspect.iscoroutinefunction(original) else called


def name_the_state_reader() -> None:
    """Give the consumers that read state back a class of their own: others read too, and may live."""
    kafka: Any = importlib.import_module("runbus.streams.kafka")
    importlib.import_module("runbus.streams.run_ends")  # it has taken its own `reader` by now

    class StateReader(kafka.AIOKafkaConsumer):  # type: ignore[misc]  # the base is only known at run time
        """A consumer."""

    make = kafka.reader

    def reader(settings: Any) -> Any:
        consumer = make(settings)
        consumer.__class__ = StateReader
        return consumer

    kafka.StateReader, kafka.reader = StateReader, reader


def send_nothing() -> None:
    """Let what may repeat wait for ever, as behind a broker that does not answer."""
    module: Any = importlib.import_module("runbus.streams.best_effort")

    async def wait(self: object) -> None:
        await asyncio.Event().wait()

    module.BestEffortProducer.run = wait


def main() -> None:
    """Arm the point and run the app."""
    name, nth, module, *arguments = sys.argv[1:]
    name_the_state_reader()
    if name == "unsent":
        send_nothing()
    arm(POINTS[name], int(nth))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
