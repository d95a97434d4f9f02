"""Adds `runbus dlq list`, `show` and `retry`: what could not be stored or used, and storing it after all."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from runbus.cli.context import Settings, settings
from runbus.cli.option import option
from runbus.cli.output import Count, Json, complain, print_json, print_table, say
from runbus.clickhouse.installation import Installation
from runbus.config.errors import ConfigError, RunBusError
from runbus.config.options import DLQ_ALL, DLQ_RAW, DLQ_TOPIC, LIMIT, RUN
from runbus.sink import SinkSettings
from runbus.sink.dead_letters.commands import RetryOutcome, letters, retry, routes_of
from runbus.sink.dead_letters.preview import as_text, decoded, hexdump
from runbus.sink.dead_letters.stored_letters import StoredLetter, StoredLetterDetail

log = logging.getLogger(__name__)
group = typer.Typer(
    help="Records that a component could not use: see them, and store them after all.", no_args_is_help=True
)

Topic = Annotated[str, option(DLQ_TOPIC)]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="dlq")


@group.command("list")
def list_(
    context: typer.Context,
    topic: Topic = DLQ_TOPIC.default_value,
    run: Annotated[str, option(RUN)] = RUN.default_value,
    limit: Annotated[int, option(LIMIT)] = LIMIT.default_value,
    as_json: Json = False,
) -> None:
    """List the newest dead letters: their record, the component, its error, and whether it is stored by now."""
    current = settings(context)
    with letters(current.clickhouse, current.kafka.topic_prefix) as found:
        newest = found.newest(limit, _full_name(current, topic), run)
    if as_json:
        print_json([_summary(letter) for letter in newest])
        return
    now = datetime.now(UTC)
    columns = ("KEY", "COMPONENT", "RUN", "ERROR", "AGE", "BYTES", "STATUS")
    rows = [
        (x.key, x.component, x.run_id, x.error, _age(now - _utc(x.failed_at)), Count(x.size or 0), _status(x))
        for x in newest
    ]
    print_table(columns, rows)
    say(f"{len(newest):,} dead letters")


@group.command("show")
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Of the letter, as `runbus dlq list` shows it.")],
    raw: Annotated[Path | None, option(DLQ_RAW)] = DLQ_RAW.default_value,
    as_json: Json = False,
) -> None:
    """Show what the dead letters of one key say, and the value: its bytes, and its header if that can be read."""
    current = settings(context)
    prefix = current.kafka.topic_prefix
    with letters(current.clickhouse, prefix) as found:
        full = found.of(key)
    if not full:
        raise RunBusError(f"no dead letter has the key {key!r}: `runbus dlq list` shows them")
    if raw is not None:
        _save(raw, full[0])
    header, wrong = decoded(full[0].value, routes_of(prefix).get(full[0].letter.origin.topic), current.codec)
    if as_json:
        print_json({"letters": [_everything(x) for x in full], "decoded": header, "wrong": wrong})
        return
    for letter in full:
        print_table(("", key), [(name, text) for name, text in _facts(letter).items()])
    for line in hexdump(full[0].value) if full[0].value else ["no value"]:
        say(line)
    for name, value in header.items():
        say(f"{name} = {value}")
    say(f"not readable: {wrong}" if wrong else "readable: `runbus dlq retry` can store it")


@group.command("retry")
def retry_(
    context: typer.Context,
    keys: Annotated[list[str] | None, typer.Argument(help="Of letters, as `runbus dlq list` shows them.")] = None,
    every: Annotated[bool, option(DLQ_ALL)] = DLQ_ALL.default_value,
    topic: Topic = DLQ_TOPIC.default_value,
    as_json: Json = False,
) -> None:
    """Store what dead letters are about, at the position that it had, exactly once; safe to stop and to repeat.

    Exit code 1 if something is not stored.
    """
    if bool(keys) == every or (keys and topic):
        raise ConfigError("name the letters to retry, or give --all (with --topic: all about one topic)")
    current = settings(context)
    topics = [_full_name(current, topic)] if topic else list(routes_of(current.kafka.topic_prefix))
    installation = Installation(
        current.kafka, current.clickhouse, current.codec, SinkSettings.load(current.sources).group
    )
    outcomes: list[RetryOutcome] = []

    def report(outcome: RetryOutcome) -> None:
        outcomes.append(outcome)
        log.info("dlq.%s key=%s %s", outcome.result, outcome.key, outcome.reason)

    try:
        retry(installation, keys or (), topics if every else (), report)
    except BaseException:
        if outcomes:  # what is done so far, also if it was stopped
            _print_outcomes(outcomes, as_json=as_json)
        raise
    _print_outcomes(outcomes, as_json=as_json)
    raise typer.Exit(0 if all(x.result in ("stored", "already") for x in outcomes) else 1)


def _print_outcomes(outcomes: list[RetryOutcome], *, as_json: bool) -> None:
    if as_json:
        print_json([{"key": x.key, **asdict(x.origin), "result": x.result, "reason": x.reason} for x in outcomes])
        return
    counts = Counter(outcome.result for outcome in outcomes)
    print_table(("KEY", "RESULT", "REASON"), [(x.key, x.result, x.reason) for x in outcomes if x.result != "already"])
    say(", ".join(f"{counts[result]:,} {result}" for result in ("stored", "already", "dead", "refused")))


def _full_name(current: Settings, topic: str) -> str:
    prefix = current.kafka.topic_prefix
    return topic if not topic or topic.startswith(prefix) else prefix + topic


def _status(letter: StoredLetter) -> str:
    return "stored" if letter.stored else "dead"


def _summary(letter: StoredLetter) -> dict[str, object]:
    return {
        "key": letter.key,
        **asdict(letter.origin),
        "component": letter.component,
        "run_id": letter.run_id,
        "agent_id": letter.agent_id,
        "error": letter.error,
        "failed_at": _utc(letter.failed_at).isoformat(),
        "size": letter.size,
        "status": _status(letter),
    }


def _everything(full: StoredLetterDetail) -> dict[str, object]:
    value = full.value
    return {
        **_summary(full.letter),
        "attempt": full.attempt,
        "seq": full.seq,
        "count": full.count,
        "schema_id": full.schema_id,
        "source_key": as_text(full.source_key),
        "headers": {name: as_text(content) for name, content in full.headers.items()},
        "letter_partition": full.partition,
        "letter_offset": full.offset,
        "preview_hex": None if value is None else value[:256].hex(),
        "preview_text": None if value is None else as_text(value),
    }


def _facts(full: StoredLetterDetail) -> dict[str, object]:
    """Return what a person reads first; what is empty is left out."""
    letter = full.letter
    facts = {
        "error": letter.error,
        "component": letter.component,
        "status": _status(letter),
        "failed at": _utc(letter.failed_at).isoformat(),
        "bytes": letter.size,
        "schema": full.schema_id,
        "source key": as_text(full.source_key),
        "letter": f"dead-letters {full.partition}:{full.offset}",
    }
    more = {f"header {name}": as_text(content) for name, content in full.headers.items() if name not in _SAID}
    return {name: value for name, value in (facts | more).items() if value not in ("", None)}


_SAID = ("error", "component", "key", "schema_id")


def _save(path: Path, full: StoredLetterDetail) -> None:
    if full.value is None:
        raise RunBusError(f"{full.letter.key}: the record had no value, so there is nothing to write to {path}")
    try:
        path.write_bytes(full.value)
    except OSError as error:
        raise RunBusError(f"cannot write {path}: {error}") from error
    complain(f"{len(full.value):,} bytes written to {path}")


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _age(age: timedelta) -> str:
    """Return an age in its two largest units."""
    seconds = max(0, int(age.total_seconds()))
    for name, unit, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= unit:
            return f"{seconds // unit}{name} {seconds % unit // part}{smaller}"
    return f"{seconds}s"
