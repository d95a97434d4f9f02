"""Adds `runbus watch`: what the watchdog says of everything that reads and writes the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any

import typer

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, flush, print_json, print_table, say, write
from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.config.options import WATCH_FOLLOW
from runbus.kafka.settings import KafkaSettings
from runbus.reader import Heartbeat, Reader

# The watchdog speaks every second. Who says nothing for so long is not there.
_PATIENCE_S = 5.0
_KIND = "watchdog"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("watch")(watch)


def watch(
    context: typer.Context,
    follow: Annotated[bool, option(WATCH_FOLLOW)] = WATCH_FOLLOW.default_value,
    as_json: Json = False,
) -> None:
    """Show what is wrong and how long a step takes to each consumer; exit code 1 if something is (docs/watch.md).

    With --follow: the table, and then a line for each change.
    """
    code, shown = 0, _Shown(as_json=as_json)
    try:
        for beat in _beats(settings(context).kafka):
            document = _document(beat)
            code = 1 if document["alarms"] else 0
            if not follow:
                _print(document, as_json=as_json)
                break
            shown.follow(document)
    except KeyboardInterrupt:
        pass
    raise typer.Exit(code)


def _beats(kafka: KafkaSettings) -> Iterator[Heartbeat]:
    """Yield the heartbeats of watchdogs from now on. Raises RunBusError once there is none for a while."""
    with closing(Reader(topics="heartbeats", start="latest", settings=kafka)) as reader:
        deadline = Deadline.after(_PATIENCE_S, time.monotonic())
        while not deadline.passed(time.monotonic()):
            event = reader.poll(deadline.remaining(time.monotonic()))
            if isinstance(event, Heartbeat) and event.kind == _KIND:
                yield event
                deadline = Deadline.after(_PATIENCE_S, time.monotonic())
    raise RunBusError(
        f"no watchdog has said anything for {_PATIENCE_S:.0f} s: start `runbus watchdog` (`runbus up` does), and see "
        "whether Kafka answers"
    )


def _document(beat: Heartbeat) -> dict[str, Any]:
    """Return what a watchdog says, and which one it is; times are milliseconds."""
    age_ms = max(0, time.time_ns() // 1_000_000 - beat.sent_at // 1000)
    return {"watchdog": beat.component_id, "age_ms": age_ms, **json.loads(beat.detail)}


def _print(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        _print_tables(document)


class _Shown:
    """Shows one document after the other: with JSON each as a line, else the first as tables, then what changes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._before: dict[tuple[str, str], Mapping[str, Any]] | None = None

    def follow(self, document: Mapping[str, Any]) -> None:
        """Show one more."""
        if self._as_json:
            write(json.dumps(document) + "\n")
            flush()
            return
        now = {(finding["subject"], finding["what"]): finding for finding in document["findings"]}
        if self._before is None:
            _print_tables(document)
        for line in [] if self._before is None else _changes(self._before, now):
            say(f"{datetime.now():%H:%M:%S} {line}")  # noqa: DTZ005 - as the clock on the wall says
        self._before = now


def _changes(
    before: Mapping[tuple[str, str], Mapping[str, Any]], now: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[str]:
    """Yield a line for each finding that is new, has another state, has become an alarm, or is over."""
    for key, finding in now.items():
        was = before.get(key)
        if was is None or (was["state"], was["alarm"]) != (finding["state"], finding["alarm"]):
            alarm = " ALARM" if finding["alarm"] else ""
            yield f"{finding['state']}{alarm} {finding['subject']} {finding['text']}; {finding['todo']}"
    for key, finding in before.items():
        if key not in now:
            yield f"over: {finding['subject']}: {finding['what']}, after {finding['since_ms'] // 1000} s"


def _print_tables(document: Mapping[str, Any]) -> None:
    alarms, age_s = document["alarms"], document["age_ms"] / 1000
    many = "" if alarms == 1 else "s"
    say(f"{document['state']}, {alarms} alarm{many}; says {document['watchdog']}, {age_s:.1f} s ago")
    columns = ("GROUP", "STATE", "STATUS", "MEMBERS", "OWNED", "LAG", "LAG MS")
    print_table(columns, list(map(_group, document["groups"])))
    print_table(("CANARY", "MS", "WAITS MS", "CAME BACK"), list(map(_way, document["canary"]["ways"])))
    print_table(("PROCESS", "LIVE"), list(document["processes"].items()))
    if document["findings"]:
        print_table(("STATE", "ALARM", "FOR S", "WHO", "WHAT", "WHAT TO DO"), list(map(_finding, document["findings"])))
    flush()


def _group(group: Mapping[str, Any]) -> Sequence[object]:
    owned = f"{group['owned']}/{group['partitions']}"
    return (
        *(group["group"], group["state"], group["status"], group["members"], owned),
        *map(Count, (group["lag_events"], group["lag_ms"])),
    )


def _way(way: Mapping[str, Any]) -> Sequence[object]:
    latency = "" if way["latency_ms"] is None else Count(way["latency_ms"])
    return (way["way"], latency, Count(way["waiting_ms"]), Count(way["came_back"]))


def _finding(finding: Mapping[str, Any]) -> Sequence[object]:
    seconds = Count(finding["since_ms"] // 1000)
    return (finding["state"], finding["alarm"], seconds, finding["subject"], finding["text"], finding["todo"])
