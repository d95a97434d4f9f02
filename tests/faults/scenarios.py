"""What is done to the apps while steps flow. Each scenario ends when the app has taken the whole log."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runbus.kafka.settings import KafkaSettings
from tests.faults.load import make_load
from tests.faults.results import settle
from tests.faults.stream_workers import DEADLINE_S, SESSION_S, Cursor, Feed, Workers
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Size:
    """How much: steps in the log, SIGKILLs, over how many seconds the steps are sent at least, and what counts as idle.

    An episode must not go idle because a test waits with sending: how it ends would depend on the machine's load.
    """

    steps: int
    kills: int
    seconds: float
    idle_seconds: float


SHORT = Size(40_000, 4, 8.0, 8.0)
LONG = Size(300_000, 20, 60.0, 20.0)
# Longer than sending can wait for a worker that starts, comes to its point and dies, twice.
_WAITED_S = 60.0
# Real time passes while the broker is away: nothing may go idle before it is back, on a busy machine either.
AWAY = Size(40_000, 0, 8.0, 120.0)
# For the same reason: a row that came too late for its episode would be refused, and the reference knows no such rows.
_GRACE_S = 600.0
_PARTS = 12  # more than the commits that a worker dies at, see `killing.POINTS`


@dataclass(frozen=True, slots=True)
class AppSetup:
    """The app, the broker with its topics, and a folder for the logs of processes."""

    kind: str
    settings: KafkaSettings
    folder: Path


class AppRun:
    """One app, one log that is being written, one or two workers."""

    def __init__(self, place: AppSetup, seed: int, size: Size) -> None:
        self.place = place
        self.size = size
        self.load = make_load(seed, size.steps)
        self.workers = Workers(
            place.kind,
            place.settings,
            place.folder,
            RUNBUS_EPISODES_IDLE_SECONDS=str(size.idle_seconds),
            RUNBUS_EPISODES_GRACE_SECONDS=str(_GRACE_S),
        )
        self.feed = Feed(place.settings, self.load.records, size.seconds)
        self.cursor = Cursor(place.settings, self.workers.group)

    def __enter__(self) -> AppRun:
        self.feed.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.feed.abandon()
        self.workers.kill_all()
        self.cursor.close()

    def moves(self) -> None:
        """Wait until the app commits something."""
        seen = self.cursor.total()
        until(f"{self.place.kind} commits beyond {seen}", lambda: self.cursor.total() > seen or self.nothing_left())

    def nothing_left(self) -> bool:
        """Return whether the app has taken all that was sent."""
        return self.feed.idle and self.cursor.at_end()

    def finish(self) -> None:
        """Wait until everything is taken and what is open has closed; check the result; stop what runs."""
        self.feed.finish()
        until(f"{self.place.kind} takes the whole log", self.cursor.at_end)
        settle(self.place.kind, self.place.settings, self.load, self.size.idle_seconds + DEADLINE_S)
        for process in self.workers.started:
            if process.poll() is None:
                self.workers.stop(process)
        settle(self.place.kind, self.place.settings, self.load)


def killed_at_random(place: AppSetup, seed: int, size: Size) -> int:
    """SIGKILL workers at random moments, a second one joining and leaving; return the number of kills."""
    rng = random.Random(seed)
    with AppRun(place, seed, size) as stage:
        running: dict[str, subprocess.Popen[bytes]] = {"one": stage.workers.start("one")}
        while stage.workers.kills < size.kills:
            stage.feed.allow((stage.workers.kills + 1) / (size.kills + 1))
            if "two" not in running and rng.random() < 0.5:
                running["two"] = stage.workers.start("two")
            elif "two" in running and rng.random() < 0.25:
                stage.workers.stop(running.pop("two"))
            if rng.random() < 0.7:
                stage.moves()
                time.sleep(rng.uniform(0.0, 0.5))  # the moment is random, that is the point
            else:
                time.sleep(rng.uniform(0.5, 3.0))  # likewise, while one starts, joins or recovers
            name = rng.choice(sorted(running))
            stage.workers.kill(running.pop(name))
            if name == "one":
                running["one"] = stage.workers.start("one")
        stage.finish()
        return stage.workers.kills


def killed_at(place: AppSetup, point: str, times: tuple[int, ...]) -> int:
    """Let a worker kill itself at a point, once for each count in `times`; return the number of kills.

    At a rebalance another worker joins while it runs.
    """
    size = replace(SHORT, idle_seconds=_WAITED_S)  # sending waits for a worker to come to the point
    with AppRun(place, sum(map(ord, point)), size) as stage:
        for number, nth in enumerate(times):
            doomed = stage.workers.start("one", die_at=point, nth=nth)
            if point in ("revoking", "revoked"):
                stage.feed.allow((number + 1) / len(times))
                stage.moves()
                other = stage.workers.start("two")
                stage.workers.dies(doomed)
                stage.workers.stop(other)
            else:
                _lead(stage, doomed, number / len(times), (number + 1) / len(times))
                stage.workers.dies(doomed)
        stage.workers.start("one")
        stage.finish()
        return stage.workers.kills


def _lead(stage: AppRun, doomed: subprocess.Popen[bytes], start: float, end: float) -> None:
    """Send a share of the records in parts, each after a commit: a worker that starts late would take all in one."""
    for part in range(1, _PARTS + 1):
        seen = stage.cursor.total()
        stage.feed.allow(start + (end - start) * part / _PARTS)
        until(
            "a commit, or the death of the worker",
            lambda seen=seen: doomed.poll() is not None or stage.cursor.total() > seen,  # type: ignore[misc]
        )


def stopped_beyond_its_session(place: AppSetup, seed: int, times: int) -> None:
    """SIGSTOP a worker, let another one take over, SIGCONT: the former must not be able to write any more."""
    with AppRun(place, seed, SHORT) as stage:
        zombie, other = stage.workers.start("one"), stage.workers.start("two")
        until("the first one owns partitions", lambda: "streams.opened" in stage.workers.log(zombie))
        for number in range(times):
            stage.feed.allow((number + 0.5) / times)
            stage.moves()
            zombie.send_signal(signal.SIGSTOP)
            stopped, before = time.monotonic(), stage.cursor.committed()
            stage.feed.allow((number + 1) / times)
            until("the other one has taken over", partial(_taken_over, stage, before))
            assert time.monotonic() - stopped >= SESSION_S / 2, "the group did not wait for the session"
            zombie.send_signal(signal.SIGCONT)
            zombie, other = other, zombie
        stage.finish()


def stopped_within_its_session(place: AppSetup, seed: int) -> None:
    """SIGSTOP a worker for less than its session while streams end: what it hears first afterwards is old news."""
    with AppRun(place, seed, Size(SHORT.steps, 0, 0.5, SHORT.idle_seconds)) as stage:
        worker = stage.workers.start()
        stage.feed.allow(0.7)
        stage.moves()
        until("it has caught up", stage.nothing_left)
        worker.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        stage.feed.finish()
        time.sleep(max(0.0, stopped + 0.7 * SESSION_S - time.monotonic()))  # ends of streams are acted upon after 1 s
        worker.send_signal(signal.SIGCONT)
        until("it takes the rest", stage.nothing_left)
        assert "streams.revoked" not in stage.workers.log(worker), "it was stopped for too long to show anything"
        stage.finish()


def _taken_over(stage: AppRun, before: dict[int, int]) -> bool:
    """Return whether each partition went on, and all that may be sent is taken."""
    now = stage.cursor.committed()
    return stage.feed.idle and stage.cursor.at_end() and all(now[p] > before.get(p, 0) for p in now)


def without_broker(place: AppSetup, times: int, kill_it: Callable[[], None]) -> int:
    """Let the broker be killed and started anew under a worker; return how often the worker was started again.

    None should have to be: a partition whose commit is in doubt is opened anew.
    """
    rng, restarts = random.Random(times), 0
    with AppRun(place, times, AWAY) as stage:
        worker = stage.workers.start()

        def supervised(condition: Callable[[], bool]) -> bool:
            nonlocal worker, restarts
            if worker.poll() is not None:
                worker, restarts = stage.workers.start(), restarts + 1
            return condition()

        def goes_on(share: float) -> None:
            seen = stage.cursor.total()
            stage.feed.allow(share)
            moved = partial(supervised, lambda: stage.cursor.total() > seen or stage.nothing_left())
            until(f"{place.kind} commits beyond {seen}", moved, 2 * DEADLINE_S)

        for number in range(times):
            goes_on((number + 1) / times)
            time.sleep(rng.uniform(0.0, 0.5))  # the moment is random, that is the point
            kill_it()
            goes_on((number + 1.5) / times)
        stage.feed.finish()
        until(f"{place.kind} takes the whole log", partial(supervised, stage.cursor.at_end), 2 * DEADLINE_S)
        stage.finish()
        return restarts


__all__ = [
    "LONG",
    "SHORT",
    "AppRun",
    "AppSetup",
    "Size",
    "killed_at",
    "killed_at_random",
    "stopped_beyond_its_session",
    "stopped_within_its_session",
    "without_broker",
]
