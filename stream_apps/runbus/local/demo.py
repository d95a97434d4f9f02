"""Runs the demo: a whole stack, agents that really learn, steps visible while they run, and the audit at the end."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from runbus.audit.reconciliation import Audit
from runbus.audit.stream_audit import audit
from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import StoreError, translated
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.queries import query
from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.local.agents.tasks import TASKS
from runbus.local.apps import DASHBOARD, EPISODES, SINK, sources, stack_plan
from runbus.local.paths import writable_directory
from runbus.local.process import ProgramSpec, RunningProcess, last_lines
from runbus.local.stack import Endpoints, Stack
from runbus.schemas.registry import codec
from runbus.sink import SinkSettings

_LOOK_EVERY_S = 0.2
_SAY_EVERY_S = 2.0
#: A finished agent; one that was told to stop delivers its steps and then ends by the signal.
_ENDED_WELL = (0, -signal.SIGTERM)
# What is left is stored and finalised in a second or two, after a restart of an engine in ten, and on a machine that is
# busy with other things in minutes. So it counts only how long nothing at all has moved: longer than the transaction of
# an app that died lives (30 s) and than a client waits for an answer before it is replaced (60 s).
_SETTLE_S = 90.0

Say = Callable[[str], None]
Shown = Callable[[], AbstractContextManager[OnProgress]]


def _nothing_shown() -> AbstractContextManager[OnProgress]:
    return nullcontext(unseen)


def _unopened(_: str) -> None:
    """Open nothing."""


@dataclass(frozen=True, slots=True)
class DemoOutput:
    """What a demo shows, and where: lines by `say`, the progress of the start by `shown`, the page by `opened`."""

    say: Say
    shown: Shown = _nothing_shown
    opened: Callable[[str], None] = _unopened


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Length of a demo (seconds and steps per agent; None = until Ctrl-C), number of agents, the first one's seed."""

    seconds: float | None = None
    steps: int | None = None
    agents: int = 2
    seed: int = 0


class Episodes(NamedTuple):
    """Episodes that ended in the stored steps, those of them that are finalised, and finalised ones that differ."""

    ended: int
    finalised: int
    different: int


NO_EPISODES = Episodes(0, 0, 0)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Outcome of a demo: the audit of its runs, what failed while it ran (a line each), and the finalised episodes."""

    audit: Audit
    failures: tuple[str, ...] = ()
    episodes: Episodes = NO_EPISODES

    @property
    def problems(self) -> list[str]:
        """A sentence for each thing that is wrong; an empty list is a success."""
        total, found = self.audit.total, list(self.failures)
        if not self.audit.sound:
            found.append(f"NOT SOUND: {total.missing:,} steps are missing, {total.duplicates:,} are stored twice")
        if not self.audit.settled:
            found.append(f"NOT SETTLED: {total.in_flight:,} steps are still in flight")
        ended, finalised, different = self.episodes
        if finalised != ended or different:
            found.append(
                f"EPISODES DIFFER: {ended:,} have ended, {finalised:,} are finalised, "
                f"{different:,} of those do not agree with their steps"
            )
        found += [
            f"{run}/{agent} never said its end: what it could not deliver is unknown, its log may tell"
            for run, agent, _ in sorted(self.audit.unfinished)
        ]
        return found

    @property
    def verdict(self) -> str:
        """The last line of a success."""
        drops, letters = self.audit.total.dropped, self.audit.total.dead_letters
        return (
            "every step is stored exactly once"
            + (f", but for {drops:,} that were dropped and counted" if drops else "")
            + (f", but for {letters:,} that could not be stored and are dead letters" if letters else "")
            + (f"; all {self.episodes.ended:,} episodes are finalised" if self.episodes.ended else "")
        )


@dataclass(frozen=True, slots=True)
class AgentProgress:
    """Stored steps and episodes of one agent; `age_ms` is the age of its newest step."""

    run_id: str
    agent_id: str
    steps: int
    episodes: int
    recent_return: float
    age_ms: int


def demo(stack: Stack, options: DemoOptions, output: DemoOutput) -> DemoResult:
    """Run the demo in `stack` and return how it ended.

    Ctrl-C ends the agents, not the audit. A stack that ran before goes on running.

    Raises:
        RunBusError: something could not be started, or the stack was stopped under the demo.
    """
    began, say = time.monotonic(), output.say
    with _only_one(stack.home), ExitStack() as cleanup:
        if not stack.status().running:
            cleanup.callback(stack.down)
        say("starting Kafka, ClickHouse, the sink, the stream apps and the page ...")
        with output.shown() as report:
            endpoints = stack.up(stack_plan([SINK, DASHBOARD], report))
        say(f"page         {endpoints.dashboard_url}")
        say(f"Kafka        {endpoints.bootstrap_servers}")
        say(f"ClickHouse   {endpoints.clickhouse_url}   (user and password: {endpoints.config_file})")
        say(f"logs         {stack.supervisor.logs}")
        output.opened(endpoints.dashboard_url)
        stamp = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        with _asked_to_stop() as asked:
            with closing(_Watch(endpoints, stamp, say, began)) as watch:
                failures = _train(stack, endpoints, _Training(stamp, options, asked), watch)
            found, episodes = _settled(endpoints, stamp, say)
            if episodes.finalised < episodes.ended:
                failures.append(f"{EPISODES.name} is behind.{last_lines(stack.supervisor.log_path(EPISODES.name))}")
            return DemoResult(found, tuple(failures), episodes)


@dataclass(slots=True)
class _Asked:
    """Remembers that the user asked to stop; a signal's handler sets it, so it takes no lock."""

    to_stop: bool = False


@dataclass(frozen=True, slots=True)
class _Training:
    """One training: the prefix of its runs, how long, and whether the user asked to stop."""

    stamp: str
    options: DemoOptions
    asked: _Asked


def _train(stack: Stack, endpoints: Endpoints, plan: _Training, watch: _Watch) -> list[str]:
    """Let the agents learn until they are done, one fails, or the user asks to stop; return what failed."""
    with _agents(stack, endpoints, plan) as running:
        while _all_well(running) and not plan.asked.to_stop:
            if not watch.look() and not stack.supervisor.is_running():
                raise RunBusError(f"the stack of {stack.home} was stopped under the demo")
            time.sleep(_LOOK_EVERY_S)
        watch.look()
    return [
        f"{agent.service.name} failed with exit code {agent.process.returncode}.{last_lines(agent.log_path)}"
        for agent in running
        if agent.process.returncode not in _ENDED_WELL
    ]


def _all_well(running: Sequence[RunningProcess]) -> bool:
    """Return whether an agent still runs and none has failed."""
    codes = [agent.process.poll() for agent in running]
    return None in codes and not any(code not in (0, None) for code in codes)


@contextmanager
def _asked_to_stop() -> Iterator[_Asked]:
    """Yield a flag that the first Ctrl-C or SIGTERM sets; the second interrupts.

    A flag and not KeyboardInterrupt: that is lost without a trace if it hits a finaliser or a callback from C.
    """
    asked = _Asked()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.to_stop:
            raise KeyboardInterrupt
        asked.to_stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _agents(stack: Stack, endpoints: Endpoints, plan: _Training) -> Iterator[list[RunningProcess]]:
    services = [_agent(endpoints, plan.stamp, index, plan.options) for index in range(plan.options.agents)]
    running: list[RunningProcess] = []
    try:
        for service in services:
            running.append(RunningProcess(service, stack.supervisor.log_path(service.name)))  # noqa: PERF401 - stop those begun
        yield running
    finally:
        for agent in running:
            agent.process.terminate()
        for agent in running:
            agent.stop()


def _agent(endpoints: Endpoints, stamp: str, index: int, options: DemoOptions) -> ProgramSpec:
    task = sorted(TASKS)[index % len(TASKS)]
    argv = [sys.executable, "-m", "runbus.local.agents", "--task", task, "--run", f"{stamp}-{task}"]
    argv += ["--agent", f"agent-{index}", "--seed", str(options.seed + index)]
    argv += ["--seconds", str(options.seconds)] if options.seconds is not None else []
    argv += ["--steps", str(options.steps)] if options.steps is not None else []
    environment = {CONFIG_FILE_ENV: str(endpoints.config_file), "OMP_NUM_THREADS": "1"}
    return ProgramSpec(f"agent-{index}-{task}", tuple(argv), lambda: True, environment)


class _Watch:
    """Says what ClickHouse has of the agents: at the first step, then every two seconds."""

    def __init__(self, endpoints: Endpoints, prefix: str, say: Say, began: float) -> None:
        self._settings = ClickHouseSettings.load(sources(endpoints))
        self._client: Client | None = None
        self._prefix, self._say, self._began = prefix, say, began
        self._first_seen = False
        self._said_at, self._said_steps = began, 0

    def look(self) -> bool:
        """Ask once and return whether there was an answer; a server that is away is asked again at the next look."""
        try:
            rows = self._read()
        except StoreError:
            return False
        now = time.monotonic()
        if rows and not self._first_seen:
            self._first_seen = True
            self._say(f"first step visible by SQL {now - self._began:.1f} s after the start")
        if rows and now - self._said_at >= _SAY_EVERY_S:
            self._tell(rows, now)
        return True

    def _tell(self, rows: Sequence[AgentProgress], now: float) -> None:
        steps = sum(r.steps for r in rows)
        rate = (steps - self._said_steps) / (now - self._said_at)
        agents = "  ".join(
            f"{r.run_id.removeprefix(self._prefix + '-')}/{r.agent_id} return {r.recent_return:.0f}" for r in rows
        )
        age = max(r.age_ms for r in rows)
        self._say(f"{now - self._began:6.1f} s  {steps:>10,} steps stored  {rate:>9,.0f}/s  {age} ms old  {agents}")
        self._said_at, self._said_steps = now, steps

    def _read(self) -> list[AgentProgress]:
        self._client = self._client or connect(self._settings)
        try:
            with translated():
                found = self._client.query(query("agent_progress"), parameters={"prefix": self._prefix})
                return [AgentProgress(*row) for row in found.result_rows]
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _settled(endpoints: Endpoints, stamp: str, say: Say) -> tuple[Audit, Episodes]:
    """Wait until nothing is in flight, or nothing moves; return the audit of the demo's runs and their episodes."""
    found = sources(endpoints)
    settings = SinkSettings.load(found)
    installation = Installation(settings.kafka, settings.clickhouse, codec(found), settings.group)
    say("reading the log and ClickHouse for the audit ...")
    deadline, before = Deadline.after(_SETTLE_S, time.monotonic()), (0, NO_EPISODES)
    with closing(connect(settings.clickhouse)) as client:
        while True:
            result = _only(audit(installation), stamp)
            with translated():
                rows = client.query(query("finalised_episodes"), parameters={"prefix": stamp}).result_rows
            episodes = Episodes(*rows[0])
            if result.settled and episodes.ended == episodes.finalised:
                return result, episodes
            if before != (before := (result.total.in_flight, episodes)):
                deadline = Deadline.after(_SETTLE_S, time.monotonic())
            if deadline.passed(time.monotonic()):
                return result, episodes
            time.sleep(_SAY_EVERY_S)


def _only(result: Audit, stamp: str) -> Audit:
    mine = {i: sums for i, sums in result.streams.items() if i[0].startswith(stamp)}
    metrics = None if result.metrics is None else _only(result.metrics, stamp)
    return Audit(mine, unfinished=result.unfinished & mine.keys(), metrics=metrics)


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    writable_directory(home, "RUNBUS_HOME")
    lock = os.open(home / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RunBusError(f"a demo is running in {home}: end it first, or set RUNBUS_HOME to another folder") from error
    finally:
        os.close(lock)
