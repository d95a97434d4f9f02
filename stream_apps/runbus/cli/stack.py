"""Adds `runbus demo`, `up`, `down`, `status` and `doctor`: the local stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, complain, print_json, print_table, say
from runbus.cli.progress import progress
from runbus.config import options as o
from runbus.config.progress import OnProgress, unseen
from runbus.config.sources import home
from runbus.local.browser import open_page
from runbus.local.options import StackOptions
from runbus.local.stack import Stack

_INTERRUPTED = 130  # as a shell has it for Ctrl-C


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for name, function in (("demo", demo), ("up", up), ("down", down), ("status", status), ("doctor", doctor)):
        app.command(name)(function)


def demo(
    seconds: Annotated[float | None, option(o.DEMO_SECONDS)] = o.DEMO_SECONDS.default_value,
    steps: Annotated[int | None, option(o.DEMO_STEPS)] = o.DEMO_STEPS.default_value,
    agents: Annotated[int, option(o.DEMO_AGENTS)] = o.DEMO_AGENTS.default_value,
    open_: Annotated[bool, option(o.OPEN)] = o.OPEN.default_value,
    as_json: Json = False,
) -> None:
    """Start a stack, let agents learn on it and end with the audit; exit code 1 if a step is missing or doubled."""
    from runbus.cli.audit import print_audit
    from runbus.local.demo import DemoOptions, DemoOutput
    from runbus.local.demo import demo as run_demo

    stack = Stack(home() / "demo", StackOptions(tied=True))
    with _interrupted(stack):
        result = run_demo(
            stack,
            DemoOptions(seconds, steps, agents),
            DemoOutput(_quiet if as_json else say, _shown(as_json=as_json), _opened(wanted=open_ and not as_json)),
        )
    if as_json:
        print_json(result.audit.as_json())
    else:
        print_audit(result.audit)
    for problem in result.problems:
        complain(problem)
    if not result.problems and not as_json:
        say(result.verdict)
    raise typer.Exit(1 if result.problems else 0)


def _quiet(_: str) -> None:
    """Say nothing: the JSON document is all that scripts read."""


def _shown(*, as_json: bool) -> Callable[[], AbstractContextManager[OnProgress]]:
    return (lambda: nullcontext(unseen)) if as_json else progress


def _opened(*, wanted: bool) -> Callable[[str], None]:
    return open_page if wanted else _quiet


@contextmanager
def _interrupted(stack: Stack) -> Iterator[None]:
    """Turn an interrupted start into one sentence and the exit code of a command that was interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        complain(f"interrupted: what was started of the stack of {stack.home} is stopped again")
        raise typer.Exit(_INTERRUPTED) from None


def up(
    kafka_port: Annotated[int | None, option(o.KAFKA_PORT)] = o.KAFKA_PORT.default_value,
    clickhouse_port: Annotated[int | None, option(o.CLICKHOUSE_PORT)] = o.CLICKHOUSE_PORT.default_value,
    registry: Annotated[bool | None, option(o.REGISTRY)] = o.REGISTRY.default_value,
    registry_port: Annotated[int | None, option(o.REGISTRY_PORT)] = o.REGISTRY_PORT.default_value,
    dashboard_port: Annotated[int | None, option(o.DASHBOARD_PORT)] = o.DASHBOARD_PORT.default_value,
    open_: Annotated[bool, option(o.OPEN)] = o.OPEN.default_value,
    as_json: Json = False,
) -> None:
    """Start Kafka, ClickHouse, the apps and the page in the background; safe to repeat, data survives restarts.

    What is not given is as it was the last time. A start that fails is undone.
    """
    from runbus.local.apps import stack_plan

    stack = Stack(home(), StackOptions(kafka_port, clickhouse_port, registry, registry_port, dashboard_port))
    with _interrupted(stack), _shown(as_json=as_json)() as report:
        found = stack.up(stack_plan(report=report))
    addresses = {
        "kafka": found.bootstrap_servers,
        "clickhouse": found.clickhouse_url,
        "registry": found.registry_url,
        "dashboard": found.dashboard_url,
    }
    if as_json:
        rest = {"changed": list(found.changed), "config_file": str(found.config_file)}
        print_json({"already_running": found.already_running, **addresses, **rest})
        return
    for change in found.changed:
        say(change)
    say(f"the stack of {stack.home} {'was up already' if found.already_running else 'is up'}")
    print_table(("SERVICE", "ADDRESS"), [(name, address) for name, address in addresses.items() if address])
    say(f"commands find it by {found.config_file}; `runbus down` stops it")
    if not found.already_running:
        _opened(wanted=open_)(found.dashboard_url)


def down() -> None:
    """Stop the local stack; its data stays."""
    stack = Stack(home())
    say(f"stopped the stack of {stack.home}" if stack.down() else f"no stack runs in {stack.home}")


def status(as_json: Json = False) -> None:
    """Show the processes of the local stack; exit code 1 if one does not run or does not answer."""
    stack = Stack(home())
    found = stack.status()
    healthy = found.running and all(p.process.alive and p.ready is not False for p in found.processes)
    rows = [
        {
            "process": p.process.name,
            "state": p.process.state,
            "ready": p.ready,
            "pid": p.process.pid,
            "uptime_seconds": round(p.process.uptime_seconds),
            "address": p.address,
            "log": str(p.log),
        }
        for p in found.processes
    ]
    if as_json:
        print_json({"home": str(found.home), "running": found.running, "stale": found.stale, "processes": rows})
    elif found.running:
        names = ("PROCESS", "STATE", "READY", "PID", "UPTIME S", "ADDRESS", "LOG")
        print_table(names, [["" if v is None else v for v in row.values()] for row in rows])
    else:
        crashed = " (it ended without being stopped)" if found.stale else ""
        say(f"no stack runs in {found.home}{crashed}: `runbus up` starts it")
    raise typer.Exit(0 if healthy else 1)


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check each thing RunBus needs and say what to do about what is wrong; exit code 1 if something is."""
    from runbus.cli.doctor import diagnose

    findings = diagnose(settings(context).sources)
    if as_json:
        print_json([{"check": f.check, "ok": f.ok, "finding": f.text} for f in findings])
    else:
        print_table(("CHECK", "OK", "FINDING"), [(f.check, f.ok, f.text) for f in findings])
    raise typer.Exit(0 if all(f.ok for f in findings) else 1)
