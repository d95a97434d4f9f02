"""Adds `runbus annotate`: notes, tags and pins on runs, agents, episodes and steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from runbus.annotations.log import current, write
from runbus.annotations.making import PIN, TAG, new_annotation, new_note, removal
from runbus.annotations.place import Place
from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, complain, print_json, print_table, say
from runbus.config import options as o
from runbus.kafka.sending import sender
from runbus.schemas.annotations import annotation_key
from runbus.schemas.events import Annotation

group = typer.Typer(help="Put notes, tags and pins on runs, episodes, ...; list and remove them.", no_args_is_help=True)

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runbus run ls` shows it.")]
Agent = Annotated[str, option(o.ANNOTATE_AGENT)]
Attempt = Annotated[int, option(o.ANNOTATE_ATTEMPT)]
Episode = Annotated[int | None, option(o.ANNOTATE_EPISODE)]
Env = Annotated[int | None, option(o.ANNOTATE_ENV)]
Step = Annotated[int | None, option(o.ANNOTATE_STEP)]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="annotate")


@group.command("note")
def note(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    run: Run,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="At most 64 KiB.")],
    agent: Agent = o.ANNOTATE_AGENT.default_value,
    attempt: Attempt = o.ANNOTATE_ATTEMPT.default_value,
    episode: Episode = None,
    env: Env = None,
    step: Step = None,
    name: Annotated[str, option(o.ANNOTATE_NAME)] = o.ANNOTATE_NAME.default_value,
    as_json: Json = False,
) -> None:
    """Put a note on a run, or on what the options say; the same text again is the same note."""
    place = Place(run, agent, attempt, env, episode, step)
    _say(context, [new_note(place, text, sender(), name)], as_json=as_json)


@group.command("tag")
def tag(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    run: Run,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The tags.")],
    agent: Agent = o.ANNOTATE_AGENT.default_value,
    attempt: Attempt = o.ANNOTATE_ATTEMPT.default_value,
    episode: Episode = None,
    env: Env = None,
    step: Step = None,
    as_json: Json = False,
) -> None:
    """Put tags on a run, or on what the options say."""
    place = Place(run, agent, attempt, env, episode, step)
    _say(context, [new_annotation(place, TAG, name, sender()) for name in names], as_json=as_json)


@group.command("pin")
def pin(
    context: typer.Context,
    run: Run,
    agent: Agent = o.ANNOTATE_AGENT.default_value,
    attempt: Attempt = o.ANNOTATE_ATTEMPT.default_value,
    episode: Episode = None,
    env: Env = None,
    step: Step = None,
    as_json: Json = False,
) -> None:
    """Pin a run, or what the options say."""
    place = Place(run, agent, attempt, env, episode, step)
    _say(context, [new_annotation(place, PIN, "", sender())], as_json=as_json)


@group.command("rm")
def rm(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    run: Run,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="note, tag or pin.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="As `ls` shows them.")] = None,
    agent: Agent = o.ANNOTATE_AGENT.default_value,
    attempt: Attempt = o.ANNOTATE_ATTEMPT.default_value,
    episode: Episode = None,
    env: Env = None,
    step: Step = None,
    as_json: Json = False,
) -> None:
    """Remove notes, tags or a pin; the options say where from, as they said where to. What is not there is said."""
    place = Place(run, agent, attempt, env, episode, step)
    asked = [removal(new_annotation(place, kind, name, sender())) for name in names or [""]]
    found = settings(context)
    there = {annotation_key(annotation) for annotation in current(found.kafka, found.codec, run)}
    for annotation in asked:
        if annotation_key(annotation) not in there:
            complain(f"{_said(annotation)} is not on {_place(annotation)}: `runbus annotate ls {run}` shows what is")
    _say(context, [annotation for annotation in asked if annotation_key(annotation) in there], as_json=as_json)


@group.command("ls")
def list_(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="Only of this run.")] = "",
    as_json: Json = False,
) -> None:
    """Show the notes, tags and pins of a run, or of all."""
    found = settings(context)
    annotations = current(found.kafka, found.codec, run or None)
    if as_json:
        print_json([dataclasses.asdict(annotation) for annotation in annotations])
        return
    rows = [(a.run_id, _place(a), a.kind, a.name, a.text, a.author, _utc(a.sent_at)) for a in annotations]
    print_table(("RUN", "ON", "KIND", "NAME", "TEXT", "BY", "AT"), rows)


def _say(context: typer.Context, annotations: Sequence[Annotation], *, as_json: bool) -> None:
    """Write annotations to the log, and say which."""
    found = settings(context)
    if annotations:
        write(found.kafka, found.codec, annotations)
    if as_json:
        print_json([dataclasses.asdict(annotation) for annotation in annotations])
        return
    for annotation in annotations:
        say(f"{_place(annotation)}: {_said(annotation)}{' removed' if annotation.removed else ''}")


def _said(annotation: Annotation) -> str:
    return f"{annotation.kind} {annotation.name}".rstrip()


def _place(annotation: Annotation) -> str:
    """Return what an annotation is on, without its run."""
    numbers = ("attempt", annotation.attempt or -1), ("env", annotation.env or -1)
    more = *numbers, ("episode", annotation.episode), ("step", annotation.step)
    agent = (f"agent {annotation.agent_id}",) if annotation.agent_id else ()
    return " ".join((*agent, *(f"{name} {number}" for name, number in more if number >= 0))) or "run"


def _utc(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).isoformat(sep=" ").removesuffix("+00:00")
