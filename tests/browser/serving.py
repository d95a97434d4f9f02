"""Runs what the page needs: a local stack, and a dashboard process that a test may kill, pause and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.local.apps import EPISODES, LIVE_METRICS, SINK, WATCHDOG, prepare, wait_for_apps
from runbus.local.env import stack_environment
from runbus.local.options import StackOptions
from runbus.local.ports import free_port
from runbus.local.process import ProgramSpec, RunningProcess, start
from runbus.local.stack import Endpoints, Plan, Stack

_APPS = (SINK, EPISODES, LIVE_METRICS, WATCHDOG)


def answers(url: str) -> bool:
    """Return whether a GET of `url` is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def start_stack(home: Path) -> tuple[Stack, Endpoints]:
    """Start engines and apps, without the stack's own dashboard; `stack.down()` stops them."""
    stack, began = Stack(home, StackOptions(tied=True)), datetime.now(UTC)
    endpoints = stack.up(Plan(_APPS, prepare, lambda found: wait_for_apps(found, began, _APPS)))
    return stack, endpoints


@contextmanager
def live_agents(endpoints: Endpoints, run: str, *options: str, prefix: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run agents (live_agents.py) for the length of a `with` block; their stream is over when it ends."""
    argv = [sys.executable, "-m", "tests.browser.live_agents", run, *options]
    environment = {**stack_environment(os.environ), CONFIG_FILE_ENV: str(endpoints.config_file)}
    if prefix:
        environment["RUNBUS_TOPIC_PREFIX"] = prefix
    process = subprocess.Popen(argv, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@dataclass
class Dashboard:
    """A dashboard on the engines of a stack. Its port stays the same over restarts, as for a user's bookmark."""

    endpoints: Endpoints
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: RunningProcess | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return once it answers."""
        self.process = start(self._spec(), self.log)

    def launch(self) -> None:
        """Start it and return at once: the page itself notices when it answers."""
        self.process = RunningProcess(self._spec(), self.log)

    def kill(self) -> None:
        """SIGKILL it."""
        assert self.process is not None
        self.process.kill()

    def pause(self) -> None:
        """Stop it without an end: connections stay open and nothing comes."""
        assert self.process is not None
        self.process.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.resume()
            self.process.stop()

    def _spec(self) -> ProgramSpec:
        environment = {
            CONFIG_FILE_ENV: str(self.endpoints.config_file),
            "CLICKHOUSE_USER": self.endpoints.reader,
            "CLICKHOUSE_PASSWORD": self.endpoints.reader_password.reveal(),
            "RUNBUS_DASHBOARD_ADDRESS": f"127.0.0.1:{self.port}",
            "RUNBUS_PROBES_ADDRESS": "127.0.0.1:0",
            **self.settings,
        }
        argv = (sys.executable, "-m", "runbus.cli", "dashboard")
        return ProgramSpec("dashboard", argv, lambda: answers(f"{self.origin}/"), environment)
