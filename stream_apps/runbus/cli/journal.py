"""Adds `runbus journal ls`, `check` and `flush`: what recorders keep on disk, and delivering what dead ones left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from runbus.cli.context import Settings, settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, complain, print_json, print_table, say
from runbus.config.catalogue import RECORDER_JOURNAL
from runbus.config.errors import ConfigError, RunBusError
from runbus.config.options import JOURNAL_RESEND
from runbus.recorder.journal.folder import is_owned, journals
from runbus.recorder.journal.reading import Survey, survey
from runbus.recorder.journal.recovery import Delivery, Manner, deliver
from runbus.recorder.settings import CourierSettings

group = typer.Typer(
    help="Journals of recorders: what is in them, and delivering what a dead process left.", no_args_is_help=True
)

T = TypeVar("T")
Folder = Annotated[
    Path | None, typer.Argument(metavar="[PATH]", help="Folder of the journals; default: RUNBUS_RECORDER_JOURNAL.")
]

Resend = Annotated[bool, option(JOURNAL_RESEND)]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="journal")


@group.command("ls")
def ls(context: typer.Context, path: Folder = None, as_json: Json = False) -> None:
    """List the journals of a folder, beside running recorders: whose they are, and what Kafka may not have."""
    found = _surveys(_root(context, path))
    if as_json:
        print_json([_summary(said, owned) for said, owned in found])
        return
    print_table(
        ("JOURNAL", "STREAM", "STATE", "ROWS", "WAITING", "BYTES", "DAMAGED"),
        [
            (
                said.path.name,
                _stream(said),
                _state(said, owned),
                Count(said.rows),
                Count(said.waiting),
                Count(said.size),
                Count(len(_damage(said))),
            )
            for said, owned in found
        ],
    )
    orphans = sum(not owned for _, owned in found)
    say(
        f"{len(found):,} journals, {orphans:,} of them of dead processes"
        + (": runbus journal flush" if orphans else "")
    )


@group.command("check")
def check(context: typer.Context, path: Folder = None, as_json: Json = False) -> None:
    """Read every record of a folder's journals, beside running recorders; exit code 1 if one is damaged."""
    found = _surveys(_root(context, path))
    damaged = {said.path.name: _damage(said) for said, owned in found}
    if as_json:
        print_json([{**_summary(said, owned), "flaws": damaged[said.path.name]} for said, owned in found])
    else:
        print_table(
            ("JOURNAL", "SEGMENT", "BYTES", "WHAT"),
            [
                (name, flaw["segment"], f"{flaw['at']}-{flaw['end']}", flaw["why"])
                for name, flaws in damaged.items()
                for flaw in flaws
            ],
        )
        rows = sum(said.rows for said, _ in found)
        say(f"{len(found):,} journals, {rows:,} rows, {sum(map(len, damaged.values())):,} damaged parts")
    raise typer.Exit(1 if any(damaged.values()) else 0)


@group.command("flush")
def flush(context: typer.Context, path: Folder = None, resend: Resend = False, as_json: Json = False) -> None:
    """Deliver the journals of dead processes: what the log lacks, then their ends; exit code 1 if one is left."""
    root, current = _root(context, path), settings(context)
    courier = CourierSettings.load(current.sources, current.kafka)
    manner = Manner(resend=resend)
    found: list[Delivery] = []
    for journal in _read(lambda: [path for path in journals(root) if not is_owned(path)], root):
        delivery = _read(lambda journal=journal: deliver(journal, courier, manner), root)  # type: ignore[misc]
        found.append(delivery)
        if not as_json:
            _say(delivery)
    if as_json:
        print_json([_delivered(delivery) for delivery in found])
    else:
        done = sum(delivery.done for delivery in found)
        say(f"{done:,} journals delivered, {len(found) - done:,} left")
    raise typer.Exit(0 if all(delivery.done for delivery in found) else 1)


def _root(context: typer.Context, path: Path | None) -> Path:
    current: Settings = settings(context)
    root = path or current.sources.get(RECORDER_JOURNAL)
    if root is None:
        raise ConfigError("which folder? Give its path, or set RUNBUS_RECORDER_JOURNAL as the recorders have it")
    return root


def _surveys(root: Path) -> list[tuple[Survey, bool]]:
    """Return what each journal says, and whether a living process has it; asked first: one that ends is an orphan."""
    return _read(lambda: [(survey(path), owned) for path in journals(root) for owned in [is_owned(path)]], root)


def _read(look: Callable[[], T], root: Path) -> T:
    try:
        return look()
    except OSError as error:
        raise RunBusError(f"the journals in {root} cannot be used: {error.strerror or error}") from error


def _stream(said: Survey) -> str:
    return str(said.header.stream) if said.header is not None else "?"


def _state(said: Survey, owned: bool) -> str:
    if owned:
        return "recording"
    return "ended, not delivered" if said.finished is not None else "its process died"


def _damage(said: Survey) -> list[dict[str, Any]]:
    """Return what is damaged; a record at the end that is not whole is being written, or died with its process."""
    return [
        {"segment": flaw.segment, "at": flaw.at, "end": flaw.end, "why": flaw.why}
        for flaw in said.flaws
        if not flaw.torn
    ]


def _summary(said: Survey, owned: bool) -> dict[str, Any]:
    stream = None if said.header is None else said.header.stream._asdict()
    return {
        "journal": str(said.path),
        "stream": stream,
        "host": "" if said.header is None else said.header.host,
        "pid": 0 if said.header is None else said.header.pid,
        "owned": owned,
        "finished": said.finished is not None,
        "rows": said.rows,
        "waiting": said.waiting,
        "bytes": said.size,
        "segments": said.segments,
        "damaged": len(_damage(said)),
        "torn": sum(flaw.torn for flaw in said.flaws),
    }


def _delivered(delivery: Delivery) -> dict[str, Any]:
    return {
        "journal": str(delivery.path),
        "stream": None if delivery.stream is None else delivery.stream._asdict(),
        "sent": delivery.sent,
        "in_log": delivery.in_log,
        "lost": delivery.lost,
        "resent": delivery.resent,
        "damaged": delivery.damaged,
        "done": delivery.done,
        "why": delivery.why,
    }


def _say(delivery: Delivery) -> None:
    name = delivery.stream or delivery.path.name
    if not delivery.done:
        complain(f"{name}: left: {delivery.why}")
        return
    say(f"{name}: {delivery.sent:,} steps sent, {delivery.in_log:,} were in the log, {delivery.lost:,} are lost")
    if delivery.resent:
        complain(
            f"{name}: this user may not read the log, so all that was not acknowledged was sent; `runbus audit` shows "
            "what is there twice as RESENT"
        )
