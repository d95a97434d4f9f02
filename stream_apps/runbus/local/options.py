"""Decides how a stack starts: what was asked for now, else what the stack remembers, else what is free."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runbus.config.errors import RunBusError
from runbus.local.ports import choose
from runbus.local.state import StackState

_NAMES = {
    "kafka_port": "Kafka",
    "clickhouse_port": "ClickHouse",
    "registry_port": "the registry",
    "dashboard_port": "the page",
}
_REGISTRY_STAYS = (
    "the log of this stack names schemas of its registry and needs it to be read: leave out --no-registry."
)


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a stack starts; None = as it was started before.

    A port of 0 is chosen: the last one if still free, else any. `tied`: see `Stack.up`.
    """

    kafka_port: int | None = None
    clickhouse_port: int | None = None
    registry: bool | None = None
    registry_port: int | None = None
    dashboard_port: int | None = None
    tied: bool = False
    cache: Path | None = None

    @property
    def ports(self) -> dict[str, int | None]:
        """The ports by the name of their field."""
        return {name: getattr(self, name) for name in _NAMES}


def chosen(options: StackOptions, state: StackState) -> StackState:
    """Return the state of a start from nothing. Raises RunBusError for a port that is taken or a registry left out."""
    if state.registry and options.registry is False:
        raise RunBusError(_REGISTRY_STAYS)
    registry = state.registry if options.registry is None else options.registry
    wanted = {name: _wanted(name, port, state) for name, port in options.ports.items()}
    ports = {
        name: choose(port, getattr(state, name), "--" + name.replace("_", "-"))
        for name, port in wanted.items()
        if registry or name != "registry_port"
    }
    fixed = tuple(name for name, port in wanted.items() if port)
    controller = choose(None, state.controller_port, "")
    moved: dict[str, Any] = {**ports, "controller_port": controller, "fixed": fixed, "registry": registry}
    return replace(state, **moved)


def changes(before: StackState, after: StackState) -> tuple[str, ...]:
    """Say in a line each what a start changes for good; a stack that is new changes nothing."""
    if not before.kafka_port:
        return ()
    moved = [
        f"{what} is on port {getattr(after, name)} from now on, it was on {getattr(before, name)}"
        for name, what in _NAMES.items()
        if getattr(before, name) not in {0, getattr(after, name)}
    ]
    return (*moved, *(("the stack has a schema registry from now on",) if after.registry > before.registry else ()))


def refuse_changes(options: StackOptions, state: StackState, *, registry: bool) -> None:
    """Raise RunBusError if `options` ask for something else than what runs: its processes have read it once."""
    if options.registry is False and registry:
        raise RunBusError(_REGISTRY_STAYS)
    if options.registry and not registry:
        raise RunBusError("the stack runs without a schema registry: run `runbus down` first.")
    for name, port in options.ports.items():
        now = getattr(state, name)
        if port and port != now and (registry or name != "registry_port"):
            text = f"the stack runs with {_NAMES[name]} on port {now}: run `runbus down` first to move it to {port}."
            raise RunBusError(text)


def _wanted(name: str, port: int | None, state: StackState) -> int:
    if port is not None:
        return port
    return int(getattr(state, name)) if name in state.fixed else 0
