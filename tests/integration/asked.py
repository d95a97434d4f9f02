"""The command as a user asks with it: its own process, with or without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_OURS = ("KAFKA_", "CLICKHOUSE_", "SCHEMA_REGISTRY_", "RUNBUS_")


@dataclass(frozen=True)
class Asked:
    """`runbus` with some settings and nothing of the caller's."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run to the end, with pipes."""
        return subprocess.run(self.argv(*arguments), env=self.environ, cwd=self.home, capture_output=True, check=False)

    def on_a_terminal(self, *arguments: str, columns: int = 120) -> str:
        """Run to the end on a terminal; return what the terminal got."""
        master, slave = pty.openpty()
        environ = self.environ | {"TERM": "xterm", "COLUMNS": str(columns)}
        with subprocess.Popen(self.argv(*arguments), env=environ, cwd=self.home, stdout=slave, stderr=slave) as child:
            os.close(slave)
            shown = b""
            while part := _read(master):
                shown += part
        os.close(master)
        assert child.returncode is not None
        return shown.decode("utf-8", "surrogateescape")

    @staticmethod
    def argv(*arguments: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "runbus.cli", *arguments]

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the command."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS) or k == "RUNBUS_CACHE"}
        return {**kept, "RUNBUS_HOME": str(self.home), **self.settings}


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""
