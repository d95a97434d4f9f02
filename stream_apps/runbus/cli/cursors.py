"""Adds `runbus cursors list`, `show` and `reset`: what every consumer group has read, and moving it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from runbus.cli.context import Settings, settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, print_json, print_table, say
from runbus.config.catalogue import SINK_GROUP
from runbus.config.errors import ConfigError
from runbus.config.options import CURSORS_DRY_RUN, CURSORS_PARTITION, CURSORS_TO, CURSORS_TOPIC, CURSORS_YES, Word
from runbus.config.terminal import printable
from runbus.cursors.own_groups import Names
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.cursors.reading import CursorReader
from runbus.cursors.reset import Move, ResetPlan, apply, check, plan
from runbus.cursors.targets import target
from runbus.kafka.model import TopicPartition
from runbus.kafka.principals import ResourceNames
from runbus.kafka.stream_apps import OWN_APPS

group = typer.Typer(help="What each consumer group has read and what is left; move one.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="GROUP", help="As `runbus cursors list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="cursors")


@group.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """Show the groups of the installation, and every other one that has a position in its topics."""
    found, now_ms = _reader(context).all(), _now_ms()
    if as_json:
        print_json([_summary(one, now_ms) for one in found])
        return
    columns = ("GROUP", "KIND", "STATE", "PROTOCOL", "MEMBERS", "PARTITIONS", "COMMITTED", "END", "LAG", "LAG MS")
    print_table(columns, [_row(one, now_ms) for one in found])


@group.command("show")
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show a group partition by partition: where it is, what is left, who owns it, what retention deletes."""
    found, now_ms = _reader(context).one(name), _now_ms()
    if as_json:
        document = _summary(found, now_ms) | {"positions": [_position(found, c, now_ms) for c in found.cursors]}
        print_json(document)
        return
    one = found.group
    say(
        f"{name}: {found.kind}, {one.state}{f', {one.protocol} protocol' if one.protocol else ''}, "
        f"{len(one.members)} members"
    )
    columns = ("PARTITION", "COMMITTED", "BEGINNING", "END", "LAG", "LAG MS", "OWNER", "RETENTION", "NOTE")
    print_table(columns, [_partition_row(found, cursor, now_ms) for cursor in found.cursors])


@group.command("reset")
def reset(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    name: Name,
    value: Annotated[str | None, typer.Argument(help="The offset, the time (ISO 8601) or the run of --to.")] = None,
    to: Annotated[Word | None, option(CURSORS_TO)] = CURSORS_TO.default_value,
    topic: Annotated[str, option(CURSORS_TOPIC)] = CURSORS_TOPIC.default_value,
    partition: Annotated[int | None, option(CURSORS_PARTITION)] = CURSORS_PARTITION.default_value,
    dry_run: Annotated[bool, option(CURSORS_DRY_RUN)] = CURSORS_DRY_RUN.default_value,
    yes: Annotated[bool, option(CURSORS_YES)] = CURSORS_YES.default_value,
    as_json: Json = False,
) -> None:
    """Move a group whose processes are stopped; a stream app's state moves with it (docs/cursors.md).

    Refused while the broker says that it has members.
    """
    reader = _reader(context)
    goal = target(to, value, reader.names.topic(topic) if topic else "", partition)
    planned = plan(reader, name, goal)
    if dry_run:
        _print_moves(planned, {}, as_json=as_json)
        return
    check(planned)
    if not yes:
        _ask(planned, as_json=as_json)
    _print_moves(planned, apply(reader, planned), as_json=as_json)


def _ask(planned: ResetPlan, *, as_json: bool) -> None:
    """Ask on the terminal. Raises ConfigError if there is none, and Exit if the answer is no."""
    if as_json or not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask: add --yes, or look with --dry-run")
    _print_moves(planned, {}, as_json=False)
    if not typer.confirm(f"move {printable(planned.group.name)}?", err=True):
        raise typer.Exit(1)


def _print_moves(planned: ResetPlan, done: Mapping[TopicPartition, str], *, as_json: bool) -> None:
    if as_json:
        print_json([_move(move, done.get(move.at, "")) for move in planned.moves])
        return
    rows = [
        (str(m.at), "" if m.cursor.committed is None else m.cursor.committed, m.to, _change(m), done.get(m.at, ""))
        for m in planned.moves
    ]
    print_table(("PARTITION", "BEFORE", "AFTER", "OFFSETS", "STATE"), rows)


def _move(move: Move, words: str) -> dict[str, object]:
    at = move.at
    before = {"before": move.cursor.committed, "after": move.to}
    return {"topic": at.topic, "partition": at.partition, **before, "state": words}


def _change(move: Move) -> str:
    change = move.to - move.cursor.position
    if not change:
        return "none"
    return f"{-change:,} read again" if change < 0 else f"{change:,} skipped"


def _reader(context: typer.Context) -> CursorReader:
    current = settings(context)
    return CursorReader(current.kafka, names_of(current))


def names_of(current: Settings) -> Names:
    """Return the names of the installation."""
    prefix = current.kafka.topic_prefix
    sink_group = ResourceNames(prefix, current.sources.get(SINK_GROUP)).sink_group
    return Names(prefix, sink_group, (*OWN_APPS, *current.stream_apps))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _row(found: GroupCursors, now_ms: int) -> tuple[object, ...]:
    lag, one = found.lag(now_ms), found.group
    sums = (sum(c.committed or 0 for c in found.cursors), sum(c.end for c in found.cursors))
    return (
        *(one.name, found.kind, one.state, one.protocol, len(one.members), f"{found.committed}/{len(found.cursors)}"),
        *map(Count, (*sums, *lag)),
    )


def _summary(found: GroupCursors, now_ms: int) -> dict[str, object]:
    lag, one = found.lag(now_ms), found.group
    return {
        "group": one.name,
        "kind": found.kind,
        "state": one.state,
        "protocol": one.protocol,
        "members": len(one.members),
        "partitions": len(found.cursors),
        "partitions_committed": found.committed,
        "committed": sum(cursor.committed or 0 for cursor in found.cursors),
        "end": sum(cursor.end for cursor in found.cursors),
        "lag_events": lag.events,
        "lag_ms": lag.milliseconds,
        "deleted_unread": sum(cursor.deleted for cursor in found.cursors),
        "retention_danger": any(cursor.in_danger(now_ms) for cursor in found.cursors),
    }


def _position(found: GroupCursors, cursor: Cursor, now_ms: int) -> dict[str, object]:
    lag, owner, intent = cursor.lag(now_ms), found.owner(cursor), cursor.intent
    return {
        "topic": cursor.at.topic,
        "partition": cursor.at.partition,
        "committed": cursor.committed,
        "beginning": cursor.beginning,
        "end": cursor.end,
        "lag_events": lag.events,
        "lag_ms": lag.milliseconds,
        "owner": owner
        and {
            "member_id": owner.id,
            "client_id": owner.client_id,
            "host": owner.host,
            "instance_id": owner.instance_id,
        },
        "deleted_unread": cursor.deleted,
        "retention_ms": cursor.retention_ms,
        "kept_ms": cursor.kept_ms(now_ms),
        "retention_danger": cursor.in_danger(now_ms),
        "announced": [cursor.committed, intent.hi] if intent is not None and intent.pending else None,
        "topic_id": intent and intent.topic_id,
    }


def _partition_row(found: GroupCursors, cursor: Cursor, now_ms: int) -> tuple[object, ...]:
    lag, owner = cursor.lag(now_ms), found.owner(cursor)
    return (
        *(str(cursor.at), "" if cursor.committed is None else cursor.committed, cursor.beginning, cursor.end),
        *map(Count, lag),
        "" if owner is None else f"{owner.client_id} {owner.id} on {owner.host}",
        _retention(cursor, now_ms),
        f"announced {cursor.committed}-{cursor.intent.hi}" if cursor.intent and cursor.intent.pending else "",
    )


def _retention(cursor: Cursor, now_ms: int) -> str:
    if cursor.deleted:
        return f"{cursor.deleted:,} deleted unread"
    left = cursor.kept_ms(now_ms)
    if left is None or not cursor.in_danger(now_ms):
        return ""
    return f"deletes unread in {left // 60_000:,} min" if left > 0 else "deletes unread now"
