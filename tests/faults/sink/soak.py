"""SIGKILLs of sinks, of ClickHouse and of the broker, in a seeded mix, while steps flow."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.sink.audit import Audit
from tests.faults.sink.mortal import Pair
from tests.faults.sink.points import ANYTIME
from tests.faults.sink.traffic import Rate, Traffic
from tests.faults.stream_workers import ROOT, Cursor
from tests.integration.sink.sink_processes import Sinks, environment
from tests.support.waiting import until

#: of ten times that something is killed; `armed`: a sink whose successor dies by itself at a named point
DECK = (*["sink"] * 4, "armed", "armed", "engine", "engine", "token", "broker")
MOVES_S = 180.0
_SAY_EVERY = 20


@dataclass(frozen=True, slots=True)
class Group:
    """How the sinks share the partitions: the group protocol, and whether members have stable names."""

    protocol: str
    static: bool = False

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.protocol}, {'static' if self.static else 'dynamic'} members"


@dataclass(frozen=True, slots=True)
class Size:
    """How much: SIGKILLs and steps at least, sinks at a time, steps a second."""

    kills: int
    steps: int
    sinks: int = 3
    rate: float = 3_000.0


class SoakRun:
    """Sinks, a broker and an engine, with steps flowing; at the end everything is stored once."""

    def __init__(self, place: Pair, folder: Path, group: Group, rate: Rate, seed: int) -> None:
        self.place = place
        self.group = group
        self.traffic = Traffic(place.kafka, rate, seed)
        self.audit = Audit(place.kafka, place.clickhouse, self.traffic)
        self.sinks = Sinks(
            {
                **environment(place.kafka, place.clickhouse),
                "RUNBUS_SINK_SESSION_SECONDS": "3",
                "RUNBUS_SINK_RANGE_STEPS": "20000",
                "PYTHONPATH": str(ROOT),
            },
            folder,
        )
        self.cursor = Cursor(place.kafka, f"{place.kafka.topic_prefix}sink")

    def __enter__(self) -> SoakRun:
        self.traffic.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.traffic.abandon()
        self.sinks.kill_all()
        self.cursor.close()

    def start(self, name: str, *module: str) -> subprocess.Popen[bytes]:
        """Start a sink."""
        settings = {"instance_id": name} if self.group.static else {}
        return self.sinks.start(*module, group_protocol=self.group.protocol, **settings)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM a sink; fail unless it ends with 0, or had not come to its own handler yet."""
        code = self.sinks.stop(process)
        too_early = code == -signal.SIGTERM and "sink.started" not in self.log(process)
        assert code == 0 or too_early, f"{code} at SIGTERM:\n{self.log(process)[-3000:]}"

    def log(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a sink said."""
        return self.sinks.log(self.sinks.started.index(process))

    def moves(self) -> None:
        """Wait until the group has taken some more steps."""
        seen = self.cursor.total()
        until(f"the sinks take steps beyond {seen}", lambda: self.cursor.total() > seen, MOVES_S)

    def goes_past(self, before: Mapping[int, int]) -> None:
        """Wait until the group has taken more of each partition of `steps` than that."""

        def gone_past() -> bool:
            now = self.cursor.committed()
            return bool(now) and all(offset > before.get(partition, 0) for partition, offset in now.items())

        until("each partition goes on", gone_past, MOVES_S)

    def finish(self, steps: int, running: Sequence[subprocess.Popen[bytes]]) -> None:
        """Write the rest, wait until it is stored, stop the sinks, check everything."""
        self.traffic.finish(steps)
        self.audit.wait()
        for process in running:
            self.stop(process)
        self.audit.check()


class Soak:
    """One seeded soak on one stage."""

    def __init__(self, stage: SoakRun, size: Size, seed: int, say: Callable[[str], None]) -> None:
        self.kills: Counter[str] = Counter()
        self.recoveries = 0  # kills while something killed before was not up again
        self.together = 0  # kills at the same moment as another
        self.gave_up = 0  # sinks that ended because no broker answered for 30 s at their start
        self._stage = stage
        self._size = size
        self._rng = random.Random(seed)
        self._say = say
        self._deck: list[str] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._doomed: dict[str, str] = {}  # sink -> the point where it will die by itself

    def run(self) -> None:
        """Kill until enough were killed, then check."""
        for number in range(self._size.sinks):
            self._start(f"sink-{number}")
        self._stage.moves()
        said, began = 0, time.monotonic()
        while self.kills.total() < self._size.kills:
            self._wait()
            self._strike()
            self._reap()
            if self.kills.total() >= said + _SAY_EVERY:
                said = self.kills.total()
                self._say(
                    f"  {time.monotonic() - began:4.0f} s: {said} kills, {self._stage.traffic.steps:,} steps written"
                )
        self._disarm()
        self._stage.place.broker.wait_ready()
        self._stage.place.engine.wait_ready()
        self._stage.finish(self._size.steps, list(self._running.values()))

    def report(self) -> str:
        """Return what was done, and what the sinks made of it."""
        stage, mix = self._stage, ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        return (
            f"{stage.group}: {self.kills.total()} kills ({mix}; {self.together} together with another, "
            f"{self.recoveries} during a recovery), {self.gave_up} sinks gave up waiting for the broker, "
            f"{stage.traffic.steps:,} steps: exact\n  {stage.audit.work()}"
        )

    def _wait(self) -> None:
        """Let a random time pass: after the next progress, or from where things are, recovering perhaps."""
        if self._rng.random() < 0.6:
            self._stage.moves()
            time.sleep(self._rng.uniform(0.0, 0.5))  # the moment is random, that is the point
        else:
            time.sleep(self._rng.uniform(0.2, 2.0))  # likewise

    def _strike(self) -> None:
        """Kill one or two at once, start them again; sometimes kill another while those are coming up."""
        kinds = [self._draw()]
        if self._rng.random() < 0.15:
            self.together += 1
            kinds.append("sink" if kinds[0] not in ("sink", "armed") else self._draw())
        again = [self._kill(kind) for kind in kinds]
        for start in again:
            start()
        if self._rng.random() < 0.25:
            time.sleep(self._rng.uniform(0.0, 1.5))  # the moment is random, that is the point
            self.recoveries += 1
            self._kill(self._draw())()

    def _draw(self) -> str:
        if not self._deck:
            self._deck = self._rng.sample(DECK, len(DECK))
        return self._deck.pop()

    def _kill(self, kind: str) -> Callable[[], None]:
        """Kill one; return what starts it again."""
        place = self._stage.place
        if kind == "broker":
            place.broker.kill()
            self.kills["broker"] += 1
            return place.broker.again
        if kind in ("engine", "token"):
            aimed = kind == "token" and place.kill_between_token_and_rows()
            if kind == "engine":
                place.engine.kill()
            self.kills["engine at a token" if aimed else "engine"] += 1
            return place.engine.again
        return self._kill_sink(armed=kind == "armed")

    def _kill_sink(self, *, armed: bool) -> Callable[[], None]:
        self._reap()
        name = self._rng.choice(sorted(self._running))
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self._doomed.pop(name, None)
        self.kills["sink"] += 1
        return lambda: self._start(name, armed=armed)

    def _start(self, name: str, *, armed: bool = False) -> None:
        module: tuple[str, ...] = ()
        if armed:
            self._doomed[name] = point = self._rng.choice(ANYTIME)
            nth = 1 if point.startswith("assign") else self._rng.choice((1, 2, 5, 12))
            module = ("tests.faults.sink.points", point, str(nth), "KILL")
        self._running[name] = self._stage.start(name, *module)

    def _reap(self) -> None:
        """Count the sinks that died at their point, and start them again; none may end in another way."""
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            point, said = self._doomed.pop(name, ""), self._stage.log(process)
            if code == -signal.SIGKILL and point:
                self.kills[f"sink {point}"] += 1
            elif code == 1 and "error: no Kafka broker answers" in said:
                self.gave_up += 1  # as it promises; whoever supervises it starts it again
            else:
                pytest.fail(f"{name} ended by itself with {code}:\n{said[-3000:]}")
            self._start(name)

    def _disarm(self) -> None:
        """Replace the sinks that are to die: what is checked at the end is not to be disturbed."""
        self._reap()
        for name in list(self._doomed):
            self._doomed.pop(name)
            process = self._running.pop(name)
            process.kill()
            process.wait()
            self.kills["sink"] += 1
            self._start(name)
