"""Finds a command by its name: its module is imported when it is asked for, so no command waits for all the others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from runbus.service.catalogue import PROCESSES

#: Command -> the module of this package that adds it, in the order of the help.
MODULES = {
    **dict.fromkeys(("demo", "up", "down", "status", "doctor"), "stack"),
    **dict.fromkeys(("migrate", *(entry.kind for entry in PROCESSES), "stream-app"), "services"),
    "query": "query",
    "tail": "tail",
    "replay": "replay",
    "audit": "audit",
    "topics": "topics",
    "run": "runs",
    "dlq": "dlq",
    "cursors": "cursors",
    "journal": "journal",
    "rebuild": "rebuild",
    "export": "export",
    "ingest": "ingest",
    "watch": "watch",
    "control": "control",
    "annotate": "annotate",
    "schema": "schema",
    "config": "config",
}


class Commands(Mapping[str, Any]):
    """Every command by its name, as typer makes it; it is made at its first use."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own click, not exported
        """Return the command. Raises KeyError if there is none of that name."""
        if name not in self._made:
            app = typer.Typer()
            import_module(f"runbus.cli.{MODULES[name]}").register(app)
            self._made |= typer.main.get_group(app).commands
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names; nothing is imported."""
        return iter(MODULES)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(MODULES)


class CommandGroup(TyperGroup):
    """`runbus` itself: its commands are those of the table, and no others."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - whatever typer passes on
        super().__init__(**options)
        self.commands = Commands()  # type: ignore[assignment] # nobody adds one afterwards
