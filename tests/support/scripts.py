"""Runs scripts as processes of a user, whose broker is a test's; what still runs at the end is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from runbus.kafka.settings import KafkaSettings


class RunScript(Protocol):
    """Starts a script."""

    def __call__(self, settings: KafkaSettings, code: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Return its process; `env` is added to the environment, both of its outputs are pipes."""


@contextmanager
def user_scripts() -> Iterator[RunScript]:
    """Yield how to run a script."""
    started: list[subprocess.Popen[str]] = []

    def run(settings: KafkaSettings, code: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
            env={
                **os.environ,
                "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
                "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
