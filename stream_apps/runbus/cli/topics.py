"""`runbus topics apply|list|acls`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.output import Json, print_json, print_table
from runbus.config.catalogue import SINK_GROUP
from runbus.config.errors import ConfigError
from runbus.kafka.acls import apply_acls, list_acls
from runbus.kafka.admin import apply_topics, list_topics
from runbus.kafka.principals import principal_names

group = typer.Typer(help="Create and list the topics, and who may use them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="topics")


Principals = Annotated[
    str,
    typer.Option(
        "--principals",
        envvar="RUNBUS_PRINCIPALS",
        help="What the broker calls the users, `role=User:name` with `;` in between; default: User:runbus-ROLE.",
    ),
]


@group.command("apply")
def apply(
    context: typer.Context,
    partitions: Annotated[
        int, typer.Option(envvar="RUNBUS_PARTITIONS", min=1, help="Partitions of steps and what is keyed like it.")
    ] = 8,
    replication: Annotated[
        int, typer.Option(envvar="RUNBUS_REPLICATION", min=1, help="Copies of each partition; 3 in production.")
    ] = 1,
    acls: Annotated[
        bool, typer.Option("--acls", envvar="RUNBUS_ACLS", help="Give each user its rights too (docs/security.md).")
    ] = False,
    principals: Principals = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="RUNBUS_DRY_RUN", help="With --acls: say which rights, change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create what is missing and correct what differs; safe to repeat. With --acls also the rights of the users."""
    current = settings(context)
    if dry_run and not acls:
        raise ConfigError("--dry-run says which rights --acls would give: add --acls")
    changes = [] if dry_run else apply_topics(current.kafka, partitions, replication)
    rights = []
    if acls:
        names, sink_group = principal_names(principals), current.sources.text(SINK_GROUP)
        rights = apply_acls(current.kafka, names, sink_group, dry_run=dry_run)
    if as_json:
        print_json(
            [{"topic": name, "change": change} for name, change in changes]
            + [{"principal": g.principal, "right": g.text, "change": change} for g, change in rights]
        )
        return
    if changes:
        print_table(("TOPIC", "CHANGE"), changes)
    if rights:
        print_table(("PRINCIPAL", "RIGHT", "CHANGE"), [(g.principal, g.text, change) for g, change in rights])


@group.command("acls")
def acls_(context: typer.Context, principals: Principals = "", as_json: Json = False) -> None:
    """Show each right of the users and whether the broker has it; exit code 1 if one is missing or too many."""
    current = settings(context)
    grants = list_acls(current.kafka, principal_names(principals), current.sources.text(SINK_GROUP))
    if as_json:
        print_json([dataclasses.asdict(grant) for grant in grants])
    else:
        print_table(("ROLE", "PRINCIPAL", "RIGHT", "STATE"), [(g.role, g.principal, g.text, g.state) for g in grants])
    raise typer.Exit(1 if any(grant.state != "given" for grant in grants) else 0)


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
