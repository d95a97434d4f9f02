"""What the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Command


@pytest.fixture
def runbus(tmp_path: Path) -> Iterator[Command]:
    """Yield a command with an empty home; whatever it left running is stopped at the end."""
    command = Command(tmp_path / "home")
    yield command
    for process in command.started:
        if process.poll() is None:  # the test failed before its end
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    for home in (command.home, command.home / "demo"):
        if home.is_dir():
            Command(home).run("down")
