"""Moves a group: what would change, why it may not, and the change itself.

The broker decides whether a group is active: it is asked first, and refuses the commit itself if a member has joined
since (`runbus.kafka.lone_commit`). Nothing is remembered between two commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbus.config.catalogue import STREAM_APPS
from runbus.config.errors import ConfigError, RunBusError
from runbus.cursors.own_groups import Kind
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.cursors.reading import CursorReader
from runbus.cursors.targets import Target, offset_in, offsets_at
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.groups import Group
from runbus.kafka.lone_commit import Commit, GroupActive, commit_alone
from runbus.kafka.model import TopicPartition
from runbus.kafka.topic_ids import topic_ids
from runbus.kafka.topics import state_topic


@dataclass(frozen=True, slots=True)
class Move:
    """One partition of a reset: where the group is, and where it is to be."""

    cursor: Cursor
    to: int

    @property
    def at(self) -> TopicPartition:
        """The partition."""
        return self.cursor.at


@dataclass(frozen=True, slots=True)
class ResetPlan:
    """What a reset changes.

    Attributes:
        group: as the broker had it when the plan was made.
        kind: of the group.
        moves: one a partition; partitions that stay where they are because the target is not in them are absent.
    """

    group: Group
    kind: Kind
    moves: tuple[Move, ...]


def plan(reader: CursorReader, name: str, target: Target) -> ResetPlan:
    """Return what a reset would change; change nothing. Raises RunBusError."""
    found = reader.found(name) if target.topic else reader.one(name)
    if found.kind == "user":
        _refuse_unnamed_app(reader, name)
    chosen = _chosen(reader, found, target)
    if not chosen:
        raise RunBusError(f"{name} reads no such partition: `runbus cursors show {name}` shows those that it reads")
    offsets = _offsets(reader, name, target, chosen)
    if not offsets:
        raise RunBusError(f"no partition that {name} reads has a record of run {target.value!r}")
    moves = tuple(Move(cursor, offsets[cursor.at]) for cursor in chosen if cursor.at in offsets)
    return ResetPlan(found.group, found.kind, moves)


def _refuse_unnamed_app(reader: CursorReader, name: str) -> None:
    """Refuse the group of a stream app that the installation does not know: it would not look at its offset."""
    prefix = reader.names.prefix
    if name.startswith(prefix) and reader.has_topic(prefix + state_topic(name.removeprefix(prefix)).name):
        raise ConfigError(
            f"{name} is a stream app, whose state has to be moved with it: name it, "
            f"{STREAM_APPS.env}={name.removeprefix(prefix)}"
        )


def _chosen(reader: CursorReader, found: GroupCursors, target: Target) -> list[Cursor]:
    """Return the partitions that the target is about; a user's group may be given a position in a new topic."""
    known = [cursor for cursor in found.cursors if target.chooses(cursor.at)]
    if known or found.kind != "user" or not target.topic:
        return known
    return [cursor for cursor in reader.bounds(target.topic) if target.chooses(cursor.at)]


def _offsets(
    reader: CursorReader, name: str, target: Target, cursors: Sequence[Cursor]
) -> Mapping[TopicPartition, int]:
    if target.word == "beginning":
        return {cursor.at: cursor.beginning for cursor in cursors}
    if target.word == "end":
        return {cursor.at: cursor.end for cursor in cursors}
    if target.word == "time":
        return offsets_at(reader.admin, cursors, int(target.value))
    if target.word == "offset":
        return {cursor.at: offset_in(cursor, int(target.value)) for cursor in cursors}
    from runbus.cursors.run_position import RunPosition  # the library of the stream apps comes with it

    return RunPosition(reader.settings, reader.admin, name).find(str(target.value), cursors)


def check(plan: ResetPlan) -> None:
    """Raise RunBusError if the group may not be moved as it stands: it has members, or a range is announced."""
    refuse_active(plan.group)
    if plan.kind == "sink":
        _refuse_announced(plan)


def refuse_active(group: Group) -> None:
    """Raise GroupActive, with who they are, if a group has members."""
    if group.members:
        hosts = ", ".join(sorted({f"{member.client_id} on {member.host}" for member in group.members}))
        raise GroupActive(
            f"{group.name} has {len(group.members)} members ({hosts}): stop its processes, and wait until the group "
            "has let go of one that was killed"
        )


def _refuse_announced(plan: ResetPlan) -> None:
    """Refuse to forget a range that may be stored any moment: only its own token keeps it from being stored twice."""
    for move in plan.moves:
        cursor, intent = move.cursor, move.cursor.intent
        if intent is None or not intent.pending or cursor.committed is None:
            continue
        if cursor.committed < cursor.end and intent.hi >= cursor.beginning:
            raise RunBusError(
                f"the sink announced {cursor.at} {cursor.committed}-{intent.hi} and did not say that it is stored: "
                "start it, so that it stores exactly this range, stop it with SIGTERM, then reset"
            )


def apply(reader: CursorReader, plan: ResetPlan) -> dict[TopicPartition, str]:
    """Move the group; return what else became of a partition, in words.

    Raises:
        GroupActive: the group has a member, says the broker.
        RunBusError: see `check`; or the broker does not do it.
    """
    check(plan)
    app = reader.names.app(plan.group.name)
    if app is not None:
        from runbus.cursors.stream_reset import reset_app  # the library of the stream apps comes with it

        return reset_app(reader, plan, app)
    ids = topic_ids(reader.admin, sorted({move.at.topic for move in plan.moves})) if plan.kind == "sink" else {}
    metadata = {name: Intent(id_).encode() for name, id_ in ids.items()}
    commits = {move.at: Commit(move.to, metadata.get(move.at.topic, "")) for move in plan.moves}
    commit_alone(reader.settings, plan.group.name, commits)
    return {}
