"""Adds `runbus control`: asks the agents of a run to do something, and shows who did."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, complain, print_json, print_table, say
from runbus.config.errors import RunBusError
from runbus.config.options import CONTROL_AGENT, CONTROL_WAIT
from runbus.control.answers import CommandAnswer, RunAnswers, run_answers, sent_commands, wait_for_answers
from runbus.control.sending import CommandName, make_command, send, setting
from runbus.schemas.events import ControlCommand

group = typer.Typer(help="Ask the agents of a run to pause, stop, ...; show who did.", no_args_is_help=True)

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runbus run ls` shows it.")]
Agent = Annotated[str, option(CONTROL_AGENT)]
Wait = Annotated[float, option(CONTROL_WAIT)]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="control")


_WITHOUT_VALUE: dict[CommandName, str] = {
    "pause": "Ask agents to pause, also those that begin later, until `resume`.",
    "resume": "Ask agents to go on.",
    "stop": "Ask agents that run now to end in order.",
    "checkpoint": "Ask agents that run now to write a checkpoint.",
}


def _add(name: CommandName, doc: str) -> None:
    """Add a command that sends just its name."""

    @group.command(name, help=doc)
    def send_name(
        context: typer.Context,
        run: Run,
        agent: Agent = CONTROL_AGENT.default_value,
        wait: Wait = CONTROL_WAIT.default_value,
        as_json: Json = False,
    ) -> None:
        _ask(context, [make_command(run, agent, name)], wait, as_json=as_json)


for _name, _doc in _WITHOUT_VALUE.items():
    _add(_name, _doc)


@group.command("set")
def set_(
    context: typer.Context,
    run: Run,
    values: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="A value that is not JSON is text.")],
    agent: Agent = CONTROL_AGENT.default_value,
    wait: Wait = CONTROL_WAIT.default_value,
    as_json: Json = False,
) -> None:
    """Ask agents to set values, also those that begin later: `lr=0.0003`."""
    _ask(context, [make_command(run, agent, "set", *setting(text)) for text in values], wait, as_json=as_json)


@group.command("ls")
def list_(context: typer.Context, run: Run, as_json: Json = False) -> None:
    """Show what was asked of a run, and what each agent answered."""
    current = settings(context)
    commands = sent_commands(current.kafka, current.codec, run)
    found = run_answers(current.clickhouse, run)
    if as_json:
        print_json(_document(commands, found))
        return
    rows = [(_said(c), c.agent or "all", _utc(c.sent_at), c.sent_by, _answers(c, found)) for c in commands]
    print_table(("COMMAND", "AGENT", "SENT", "BY", "ANSWERS"), rows)


def _ask(context: typer.Context, commands: Sequence[ControlCommand], wait: float, *, as_json: bool) -> None:
    """Send commands, wait for their answers, and show them. Raises typer.Exit(1) if one was waited for and is not."""
    current = settings(context)
    send(current.kafka, current.codec, commands)
    ask = partial(run_answers, current.clickhouse, commands[0].run_id)
    try:
        found, missing = wait_for_answers(ask, commands, wait)
    except RunBusError as error:
        complain(f"{_said(commands[0])} is sent; who takes it is not known: {error}")
        raise typer.Exit(1 if wait else 0) from error
    if as_json:
        print_json(_document(commands, found))
    else:
        _print(commands, found)
    if wait and (missing or not found.taken(commands[0])):
        raise typer.Exit(1)


def _print(commands: Sequence[ControlCommand], found: RunAnswers) -> None:
    run, agent = commands[0].run_id, commands[0].agent
    for command in commands:
        say(f"{_said(command)}: {_answers(command, found) or 'sent'}")
    if not found.taken(commands[0]):
        who = f"agent {agent!r}" if agent else "no agent"
        complain(f"{who} of run {run!r} that runs now takes commands: `Recorder(..., control=True)` does")
    elif deaf := sorted({t.agent for t in found.takers if not t.takes and not t.replaced and agent in ("", t.agent)}):
        complain(f"these agents take no commands, as their recorders have no control=True: {', '.join(deaf)}")


def _answers(command: ControlCommand, found: RunAnswers) -> str:
    """Return who answered what, and who has not yet."""
    given = [f"{a.agent} {a.answer or 'has it'}{f' ({a.note})' if a.note else ''}" for a in _given(command, found)]
    has_it = {a.agent for a in _given(command, found)}
    return ", ".join(given + [f"{agent} not yet" for agent in found.missing(command) if agent not in has_it])


def _given(command: ControlCommand, found: RunAnswers) -> Sequence[CommandAnswer]:
    return found.answers.get(command.id, ())


def _document(commands: Sequence[ControlCommand], found: RunAnswers) -> list[dict[str, object]]:
    return [
        {
            **dataclasses.asdict(command),
            "answers": [dataclasses.asdict(answer) for answer in _given(command, found)],
            "not_yet": found.missing(command),
        }
        for command in commands
    ]


def _said(command: ControlCommand) -> str:
    return f"set {command.key}={command.value}" if command.command == "set" else command.command


def _utc(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).isoformat(sep=" ").removesuffix("+00:00")
