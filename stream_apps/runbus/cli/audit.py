"""Adds `runbus audit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from runbus.audit.range_audit import Finding, RangeAudit
from runbus.audit.reconciliation import Audit, StreamSums
from runbus.audit.stream_audit import audit
from runbus.audit.verdicts import DAMAGE
from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, complain, print_json, print_json_list, print_table, say
from runbus.cli.progress import progress
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.tables import STORED_TOPICS, StoredTopic
from runbus.config.options import AUDIT_RANGES, AUDIT_TOPIC, RUN
from runbus.sink import SinkSettings

_SHOWN = 50  # ranges; no one reads a table of thousands

Run = Annotated[str | None, option(RUN)]
Ranges = Annotated[bool, option(AUDIT_RANGES)]
OneTopic = Annotated[str | None, option(AUDIT_TOPIC)]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("audit")(command)


def command(
    context: typer.Context, run: Run = None, ranges: Ranges = False, topic: OneTopic = None, as_json: Json = False
) -> None:
    """Compare ClickHouse with the log, step by step; exit code 1 if one is missing or stored twice."""
    if ranges and run is not None:
        raise typer.BadParameter("--run and --ranges: an offset range is of all runs, leave one of them out")
    if topic is not None and not ranges:
        raise typer.BadParameter("--topic needs --ranges: the audit of streams reads steps, metrics and runs")
    topics = STORED_TOPICS if topic is None else (_stored(topic),)
    current = settings(context)
    group = SinkSettings.load(current.sources).group
    installation = Installation(current.kafka, current.clickhouse, current.codec, group)
    sound = _audit_ranges(installation, topics, as_json) if ranges else _audit_streams(installation, run, as_json)
    raise typer.Exit(0 if sound else 1)


def _stored(topic: str) -> StoredTopic:
    found = {stored.topic: stored for stored in STORED_TOPICS}
    if topic not in found:
        raise typer.BadParameter(f"--topic {topic}: ClickHouse stores {', '.join(found)} (without prefix)")
    return found[topic]


def _audit_streams(installation: Installation, run: str | None, as_json: bool) -> bool:
    with progress() as on_progress:
        result = audit(installation, run, on_progress)
    if as_json:
        print_json(result.as_json())
    else:
        print_audit(result)
    if result.unreadable:
        complain(f"{result.unreadable} records of the log could not be read: what they held is not in these sums")
    if result.unreadable_letters:
        complain(
            f"{result.unreadable_letters} records of the log cannot be read and are dead letters: what they held is in "
            "these sums only if a later record of their stream shows that steps are missing"
        )
    return result.sound


def print_audit(result: Audit) -> None:
    """Print the table that also ends the demo."""
    _print_streams("STREAM", result)
    if result.metrics is not None and result.metrics.streams:
        say("")
        _print_streams("METRICS OF", result.metrics)


def _print_streams(of: str, result: Audit) -> None:
    columns = (of, "PRODUCED", "STORED", "DROPPED", "IN FLIGHT", "DEAD LETTERS", "MISSING", "DUPLICATES", "RESENT")
    rows: list[tuple[object, ...]] = [
        (f"{run}/{agent}/{attempt}", *map(Count, sums.as_dict().values()))
        for (run, agent, attempt), sums in sorted(result.streams.items())
    ]
    print_table(columns, [*rows, ("total", *map(Count, result.total.as_dict().values()))])


def _audit_ranges(installation: Installation, topics: Sequence[StoredTopic], as_json: bool) -> bool:
    with progress(beside_output=as_json) as on_progress:
        result = RangeAudit(installation, topics, on_progress=on_progress)
        if as_json:
            print_json_list("ranges", (finding.as_dict() for finding in result.findings()), lambda: _summary(result))
            return result.total.sound
        damage, more = _damage(result)
    _print_ranges(result, damage, more)
    return result.total.sound


def _summary(result: RangeAudit) -> dict[str, object]:
    return {
        "partitions": [partition.as_dict() for partition in result.partitions],
        "total": result.total.as_dict(),
        "sound": result.total.sound,
    }


def _damage(result: RangeAudit) -> tuple[list[Finding], int]:
    """Audit; return the first ranges that are wrong, and how many more there are."""
    shown: list[Finding] = []
    more = 0
    for finding in result.findings():
        if finding.range.verdict in DAMAGE:
            if len(shown) < _SHOWN:
                shown.append(finding)
            else:
                more += 1
    return shown, more


def _print_ranges(result: RangeAudit, shown: list[Finding], more: int) -> None:
    columns = [name.upper().replace("_", " ") for name in StreamSums().as_dict()]
    rows = [(f"{p.topic}:{p.partition}", *map(Count, p.sums.as_dict().values())) for p in result.partitions]
    print_table(["PARTITION", *columns], [*rows, ("total", *map(Count, result.total.as_dict().values()))])
    if shown:
        say("")
        print_table(
            ("WRONG", "PARTITION", "OFFSETS", "RECORDS", "EXPECTED ROWS", "ROWS", "DIFFERENT"),
            [
                (
                    *(r.verdict, f"{topic}:{partition}", f"{r.first}-{r.last}"),
                    *map(Count, (r.offsets, r.expected, r.rows, r.distinct)),
                )
                for topic, _, partition, r in shown
            ],
        )
    if more:
        say(f"and {more:,} more ranges: --json prints all of them")
