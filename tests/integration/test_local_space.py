"""A disk that is really full: a small file system of its own, where this machine lets us mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runbus.config.errors import RunBusError
from runbus.local.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system of 64 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a file system here (uid {os.getuid()}): {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_no_space_left_is_told_before_anything_starts(small_disk: Path) -> None:
    """Too little space for a broker and an engine is one line with the folder and what to do; nothing was started."""
    with pytest.raises(RunBusError, match=r"MB are free at .*small/home; .* set RUNBUS_HOME to another disk"):
        Stack(small_disk / "home").up()
    assert not Stack(small_disk / "home").status().running


def test_a_disk_without_a_byte_left_is_one_line(small_disk: Path) -> None:
    """Not even a probe file can be written: the folder is named, without a traceback."""
    _fill(small_disk / "filler")
    with pytest.raises(RunBusError, match="small"):
        Stack(small_disk / "home").up()


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
