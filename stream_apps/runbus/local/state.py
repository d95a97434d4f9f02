"""Keeps what a stack remembers between starts: ports, passwords, options; in one file that only its user can read."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from runbus.local.clickhouse import new_password
from runbus.local.paths import save_private


@dataclass(frozen=True, slots=True)
class StackState:
    """Ports on 127.0.0.1 (0 = not chosen yet), the passwords of the two ClickHouse users, and what was asked for.

    `fixed` names the ports that the user chose; `registry`: the stack has run with a schema registry.
    """

    owner_password: str
    reader_password: str
    kafka_port: int = 0
    controller_port: int = 0
    clickhouse_port: int = 0
    registry_port: int = 0
    dashboard_port: int = 0
    fixed: tuple[str, ...] = ()
    registry: bool = False


def load_state(path: Path) -> StackState:
    """Read the state, or make a new one with random passwords if there is none or it is damaged."""
    try:
        state = StackState(**json.loads(path.read_text(encoding="utf-8")))
        return dataclasses.replace(state, fixed=tuple(state.fixed))
    except (OSError, ValueError, TypeError):
        return StackState(new_password(), new_password())


def save_state(path: Path, state: StackState) -> None:
    """Write the state with mode 0600."""
    save_private(path, json.dumps(dataclasses.asdict(state), indent=1) + "\n")
