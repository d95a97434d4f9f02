"""Adds `runbus topics apply`, `list` and `acls`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, print_json, print_table
from runbus.config.catalogue import SINK_GROUP
from runbus.config.errors import ConfigError
from runbus.config.options import ACLS, DRY_RUN, PARTITIONS, PRINCIPALS, REPLICATION
from runbus.kafka.acls import apply_acls, list_acls
from runbus.kafka.admin import apply_topics, list_topics
from runbus.kafka.principals import ROLES, principal_names
from runbus.kafka.stream_apps import AppTopics
from runbus.kafka.user_apps import all_topics

group = typer.Typer(help="Create and list the topics, and who may use them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="topics")


Principals = Annotated[str, option(PRINCIPALS)]


@group.command("apply")
def apply(
    context: typer.Context,
    partitions: Annotated[int, option(PARTITIONS)] = PARTITIONS.default_value,
    replication: Annotated[int, option(REPLICATION)] = REPLICATION.default_value,
    acls: Annotated[bool, option(ACLS)] = ACLS.default_value,
    principals: Principals = PRINCIPALS.default_value,
    dry_run: Annotated[bool, option(DRY_RUN)] = DRY_RUN.default_value,
    as_json: Json = False,
) -> None:
    """Create what is missing and correct what differs; safe to repeat. With --acls also the rights of the users."""
    current = settings(context)
    if dry_run and not acls:
        raise ConfigError("--dry-run says which rights --acls would give: add --acls")
    apps = current.stream_apps
    names = _principals(principals, apps)  # what is wrong with them is said first
    changes = [] if dry_run else apply_topics(current.kafka, partitions, replication, all_topics(apps))
    rights = []
    if acls:
        sink_group = current.sources.get(SINK_GROUP)
        rights = apply_acls(current.kafka, names, sink_group, apps=apps, dry_run=dry_run)
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
def acls_(context: typer.Context, principals: Principals = PRINCIPALS.default_value, as_json: Json = False) -> None:
    """Show each right of the users and whether the broker has it; exit code 1 if one is missing or too many."""
    current = settings(context)
    apps = current.stream_apps
    grants = list_acls(current.kafka, _principals(principals, apps), current.sources.get(SINK_GROUP), apps=apps)
    if as_json:
        print_json([dataclasses.asdict(grant) for grant in grants])
    else:
        print_table(("ROLE", "PRINCIPAL", "RIGHT", "STATE"), [(g.role, g.principal, g.text, g.state) for g in grants])
    raise typer.Exit(1 if any(grant.state != "given" for grant in grants) else 0)


def _principals(text: str, apps: Sequence[AppTopics]) -> Mapping[str, str]:
    return principal_names(text, (*ROLES, *(app.name for app in apps)))


@group.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """Show every topic of the installation as the broker has it."""
    current = settings(context)
    states = list_topics(current.kafka, all_topics(current.stream_apps))
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
