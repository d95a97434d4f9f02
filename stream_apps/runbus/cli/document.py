"""Makes the table of docs/commands.md from the commands: `python -m runbus.cli.document docs/commands.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from runbus.cli.main import app
from runbus.config.document import renewed, table


def commands_reference() -> str:
    """Return one section a command: what it does, and its arguments and options with their variables."""
    return "\n".join(_section(path, command) for path, command in _walk("runbus", typer.main.get_command(app)))


def command_paths() -> list[str]:
    """Return every command, for example `runbus topics apply`."""
    return [path for path, _ in _walk("runbus", typer.main.get_command(app))]


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer's own click, not exported
    yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from _walk(f"{path} {name}", sub)


def _section(path: str, command: Any) -> str:  # noqa: ANN401
    text = f"### `{path}`\n\n{(command.help or '').strip()}\n"
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    return text + (f"\n{table(('option', 'variable', 'default', 'meaning'), rows)}" if rows else "")


def _row(parameter: Any) -> tuple[str, str, str, str]:  # noqa: ANN401
    argument = parameter.param_type_name == "argument"
    name = parameter.name.upper() if argument else " / ".join([*parameter.opts, *parameter.secondary_opts])
    variable = f"`{parameter.envvar}`" if parameter.envvar else ""
    plain = parameter.default is None or argument or parameter.default is False
    default = "" if plain else f"`{parameter.default}`"
    return f"`{name}`", variable, default, (parameter.help or "").strip()


def main(path: str) -> None:
    """Renew the page at `path`."""
    page = Path(path)
    page.write_text(renewed(page.read_text(encoding="utf-8"), "commands", commands_reference()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
