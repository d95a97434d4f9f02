"""A whole local stack with its watchdog, for tests that hurt one process after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from runbus.kafka.settings import KafkaSettings
from runbus.local.apps import WATCHDOG, sources, stack_plan
from runbus.local.stack import Endpoints, Stack
from tests.e2e.command import Command
from tests.support.waiting import until

#: Short, so that a test does not wait for a minute until something is an alarm; longer than any restart here takes.
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Installation:
    """A running stack.

    Attributes:
        stack: its processes.
        endpoints: its addresses.
        command: `runbus` for it.
        disk: where its ClickHouse has a file system of 256 MB of its own; None = nobody may mount one here.
    """

    stack: Stack
    endpoints: Endpoints
    command: Command
    disk: Path | None

    @cached_property
    def kafka(self) -> KafkaSettings:
        """The broker."""
        return KafkaSettings.load(sources(self.endpoints))

    def pid(self, name: str) -> int:
        """Return the process that is called so; 0 = it does not run."""
        found = self.stack.supervisor.processes()[name]
        return found.pid if found.alive else 0

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop a process, as a debugger does, for as long as the context is entered."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self, name: str) -> None:
        """Kill a process; the stack starts it again."""
        os.kill(self.pid(name), signal.SIGKILL)

    def end(self, name: str) -> None:
        """End a process in order; it stays away."""
        self.stack.supervisor.halt(name)
        until(f"{name} has ended", lambda: not self.stack.supervisor.is_busy(name))

    def begin(self, name: str) -> None:
        """Start a process that was ended."""
        self.stack.supervisor.launch(name)
        until(f"{name} runs", lambda: self.pid(name) != 0)

    def restart(self, name: str) -> None:
        """End a process in order, and start it again."""
        self.end(name)
        self.begin(name)


@contextmanager
def installation(home: Path) -> Iterator[Installation]:
    """Yield a stack in this folder; nothing of it is left."""
    data = home / "data" / "clickhouse"
    data.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(data)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    stack = Stack(home)
    watchdog = replace(
        WATCHDOG,
        environment={
            **WATCHDOG.environment,
            "RUNBUS_WATCHDOG_PATIENCE_SECONDS": str(PATIENCE_S),
            "RUNBUS_WATCHDOG_CANARY_SECONDS": "1",
        },
    )
    plan = stack_plan()
    processes = [watchdog if process is WATCHDOG else process for process in plan.processes]
    try:
        endpoints = stack.up(replace(plan, processes=processes))
        yield Installation(stack, endpoints, Command(home), data if mounted else None)
    finally:
        stack.down()
        if mounted:
            _unmount(data)


def _unmount(folder: Path) -> None:
    """Unmount, once the last process has closed its files there."""
    for _ in range(50):
        if subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "-l", str(folder)], check=True)
