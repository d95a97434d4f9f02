"""Adds `runbus tail`: steps and events from the log, as people read them, while they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from runbus.cli.context import settings
from runbus.cli.event_lines import Document, documents, json_line, readable_line, time_of
from runbus.cli.option import option
from runbus.cli.output import Json, flush, write
from runbus.config import options as o
from runbus.config.errors import ConfigError
from runbus.reader import LogEvent
from runbus.reader.settings import ReaderSettings
from runbus.replay.recent import LogWindow, until_ends

#: The exit code of a command that Ctrl-C ended.
CTRL_C = 130
_WAIT_S = 0.5


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("tail")(tail)


def tail(
    context: typer.Context,
    run: Annotated[str, option(o.RUN)] = o.RUN.default_value,
    agent: Annotated[str, option(o.AGENT)] = o.AGENT.default_value,
    topics: Annotated[str, option(o.TAIL_TOPICS)] = o.TAIL_TOPICS.default_value,
    last: Annotated[int, option(o.TAIL_LAST)] = o.TAIL_LAST.default_value,
    since: Annotated[str, option(o.TAIL_FROM)] = o.TAIL_FROM.default_value,
    follow: Annotated[bool, option(o.TAIL_FOLLOW, "-f")] = o.TAIL_FOLLOW.default_value,
    as_json: Json = False,
) -> None:
    """Show the newest steps and events of the log, a line each; with --follow also what comes, until Ctrl-C."""
    names = [name.strip() for name in topics.split(",") if name.strip()]
    found = ReaderSettings.load(settings(context).sources)
    window = LogWindow(found, names, run or None, agent or None)
    show = shower(as_json=as_json)
    try:
        if since:
            for event in _from(window, since):
                show(documents(event))
        elif last:
            show(_last(window, last))
        flush()
        if follow:
            _follow(window, show)
    except KeyboardInterrupt:
        raise typer.Exit(CTRL_C) from None


def shower(*, as_json: bool) -> Callable[[Iterator[Document]], None]:
    """Return what prints documents, a line each."""
    coloured = sys.stdout.isatty()

    def show(found: Iterator[Document]) -> None:
        for document in found:
            write(json_line(document) if as_json else readable_line(document, coloured=coloured))

    return show


def _last(window: LogWindow, count: int) -> Iterator[Document]:
    """Yield the newest lines of all partitions, by their time."""
    lines = [line for newest in window.newest(documents, count) for line in newest.lines]
    yield from sorted(lines, key=time_of)[-count:]


def _from(window: LogWindow, since: str) -> Iterator[LogEvent]:
    if since == "beginning":
        return window.between({at: low for at, (low, _) in window.bounds.items()})
    return until_ends(window.reader(at_time(since)), window.ends)


def _follow(window: LogWindow, show: Callable[[Iterator[Document]], None]) -> None:
    with window.reader() as reader:
        while True:
            event = reader.poll(0)
            if event is None:
                flush()  # whoever reads a pipe sees it before we wait
                event = reader.poll(_WAIT_S)
            if event is not None:
                show(documents(event))


def at_time(text: str) -> datetime:
    """Return a time that a user wrote: UTC if it names no zone. Raises ConfigError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time: write it as 2026-11-29T08:00:00Z") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
