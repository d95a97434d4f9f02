"""Adds `runbus watch`: what the watchdog says of everything that reads and writes the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Annotated, Any

import typer

from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, print_json, print_table, say, write
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
    """Show what is wrong and how long a step takes to each consumer; exit code 1 if something is (docs/watch.md)."""
    code = 0
    try:
        for beat in _beats(settings(context).kafka):
            document = _document(beat)
            code = 1 if document["alarms"] else 0
            _print(document, follow=follow, as_json=as_json)
            if not follow:
                break
    except KeyboardInterrupt:
        pass
    raise typer.Exit(code)


def _beats(kafka: KafkaSettings) -> Iterator[Heartbeat]:
    """Yield the heartbeats of watchdogs from now on. Raises RunBusError once there is none for a while."""
    with closing(Reader(topics="heartbeats", start=timedelta(seconds=2), settings=kafka)) as reader:
        while True:
            deadline = Deadline.after(_PATIENCE_S, time.monotonic())
            while True:
                event = reader.poll(deadline.remaining(time.monotonic()))
                if isinstance(event, Heartbeat) and event.kind == _KIND:
                    yield event
                    break
                if deadline.passed(time.monotonic()):
                    raise RunBusError(
                        f"no watchdog has said anything for {_PATIENCE_S:.0f} s: start `runbus watchdog` (`runbus up` "
                        "does), and see whether Kafka answers"
                    )


def _document(beat: Heartbeat) -> dict[str, Any]:
    """Return what a watchdog says, and which one it is; times are milliseconds."""
    age_ms = max(0, time.time_ns() // 1_000_000 - beat.sent_at // 1000)
    return {"watchdog": beat.component_id, "age_ms": age_ms, **json.loads(beat.detail)}


def _print(document: Mapping[str, Any], *, follow: bool, as_json: bool) -> None:
    if as_json and follow:
        write(json.dumps(document) + "\n")
    elif as_json:
        print_json(document)
    else:
        _print_tables(document)


def _print_tables(document: Mapping[str, Any]) -> None:
    alarms = document["alarms"]
    say(
        f"{document['state']}, {alarms} alarm{'' if alarms == 1 else 's'}; "
        f"says {document['watchdog']}, {document['age_ms'] / 1000:.1f} s ago"
    )
    print_table(
        ("GROUP", "STATE", "STATUS", "MEMBERS", "OWNED", "LAG", "LAG MS"), list(map(_group, document["groups"]))
    )
    print_table(("CANARY", "MS", "WAITS MS", "CAME BACK"), list(map(_way, document["canary"]["ways"])))
    print_table(("PROCESS", "LIVE"), list(document["processes"].items()))
    if document["findings"]:
        print_table(("STATE", "ALARM", "FOR S", "WHO", "WHAT", "WHAT TO DO"), list(map(_finding, document["findings"])))


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
