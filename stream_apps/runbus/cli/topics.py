"""`runbus topics apply|list`."""

from __future__ import annotations

from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table
from runbus.schemas.admin import apply_topics, list_topics

group = typer.Typer(help="Create and list the topics.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="topics")


@group.command("apply")
def apply(
    context: typer.Context,
    partitions: Annotated[
        int, typer.Option(envvar="RUNBUS_PARTITIONS", min=1, help="Partitions of steps and what is keyed like it.")
    ] = 8,
    replication: Annotated[
        int, typer.Option(envvar="RUNBUS_REPLICATION", min=1, help="Copies of each partition; 3 in production.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Create what is missing and correct what differs; safe to repeat."""
    changes = apply_topics(settings(context).kafka, partitions, replication)
    if as_json:
        print_json([{"topic": name, "change": change} for name, change in changes])
    else:
        print_table(("TOPIC", "CHANGE"), changes)


@group.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """Show every topic of the catalogue as the broker has it."""
    states = list_topics(settings(context).kafka)
    if as_json:
        print_json(
            [
                {"topic": s.name, "partitions": s.partitions, "replication": s.replication, "key": s.topic.key}
                for s in states
            ]
        )
        return
    rows = [
        (s.name, s.partitions or "missing", s.replication or "", s.topic.key, s.topic.schema or "", s.topic.cleanup)
        for s in states
    ]
    print_table(("TOPIC", "PARTITIONS", "REPLICATION", "KEY", "VALUE", "CLEANUP"), rows)
