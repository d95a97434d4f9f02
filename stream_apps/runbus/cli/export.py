"""Adds `runbus export`: the episodes of a run as a Parquet file or a Minari dataset."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from runbus.cli.context import Settings, settings
from runbus.cli.option import option
from runbus.cli.output import Json, complain, print_json, say
from runbus.cli.progress import progress
from runbus.cli.tail import at_time
from runbus.config import options as o
from runbus.config.errors import ConfigError
from runbus.export.api import Choice, EpisodeWriter
from runbus.export.descriptions import Description, document, from_clickhouse, from_kafka
from runbus.export.errors import needing
from runbus.export.job import export as run_export
from runbus.export.job import left_out_text
from runbus.export.target import check_free, whole
from runbus.replay import Episode, Source

_VERSION = re.compile(r"-v\d+$")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("export")(export)


def export(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runbus run ls` shows it.")],
    format_: Annotated[str, option(o.EXPORT_FORMAT)] = o.EXPORT_FORMAT.default_value,
    output: Annotated[Path | None, option(o.EXPORT_OUTPUT, "-o")] = o.EXPORT_OUTPUT.default_value,
    agent: Annotated[str, option(o.EXPORT_AGENT)] = o.EXPORT_AGENT.default_value,
    begin: Annotated[str, option(o.EXPORT_FROM)] = o.EXPORT_FROM.default_value,
    until: Annotated[str, option(o.EXPORT_TO)] = o.EXPORT_TO.default_value,
    incomplete: Annotated[bool, option(o.EXPORT_INCOMPLETE)] = o.EXPORT_INCOMPLETE.default_value,
    values: Annotated[str, option(o.EXPORT_VALUES)] = o.EXPORT_VALUES.default_value,
    store: Annotated[o.ExportStore, option(o.EXPORT_STORE)] = o.EXPORT_STORE.default_value,
    as_json: Json = False,
) -> None:
    """Write the episodes of a run as Parquet or as a Minari dataset (docs/export.md)."""
    choice = _choice(begin, until, incomplete=incomplete)
    if values == "raw" and format_ != "parquet":
        raise ConfigError(f"--values raw is for --format parquet, and this is --format {format_}")
    path = output or Path(_default_name(run_id, format_))
    check_free(path)
    writer_at = _writer(format_, raw=values == "raw")
    source, descriptions = _opened(settings(context), store, run_id, agent)
    about = {**document(run_id, descriptions), "incomplete": incomplete, "from": begin, "to": until}
    with source, whole(path) as place, progress() as on_progress:
        total = source.steps
        outcome = run_export(
            source, writer_at(place, descriptions), choice, about, total=total, on_progress=on_progress
        )
    if as_json:
        print_json({"path": str(path), "format": format_, **asdict(outcome)})
        return
    say(f"{path}: {outcome.episodes:,} episodes, {outcome.rows:,} rows")
    if outcome.left_out:
        complain(f"left out: {left_out_text(outcome)}")
    for note in outcome.notes:
        complain(note)


WriterAt = Callable[[Path, list[Description]], EpisodeWriter]


def _writer(format_: str, *, raw: bool) -> WriterAt:
    """Return what makes the writer of a format. Raises CannotExport if its library is missing."""
    if format_ == "minari":
        with needing("minari"):
            from runbus.export.minari import MinariEpisodes
        return MinariEpisodes
    with needing("pyarrow"):
        from runbus.export.parquet import ParquetEpisodes
    return lambda path, _: ParquetEpisodes(path, raw=raw)


def _opened(
    current: Settings, store: o.ExportStore, run_id: str, agent: str
) -> tuple[Source[Episode], list[Description]]:
    """Return the episodes of a run, and what its streams said of themselves."""
    kafka, clickhouse = current.kafka, current.clickhouse
    source = Source(
        run_id,
        agent=agent or None,
        store=store,
        unit="episodes",
        incomplete=True,
        settings=kafka,
        clickhouse=clickhouse,
    )
    if store == "kafka":
        return source, from_kafka(kafka, current.codec, run_id, agent)
    return source, from_clickhouse(clickhouse, run_id, agent)


def _choice(begin: str, until: str, *, incomplete: bool) -> Choice:
    found = [round(at_time(text).timestamp() * 1_000_000) if text else None for text in (begin, until)]
    if found[0] is not None and found[1] is not None and found[0] >= found[1]:
        raise ConfigError(f"--from {begin} is not before --to {until}")
    return Choice(found[0], found[1], incomplete)


def _default_name(run_id: str, format_: str) -> str:
    if format_ == "parquet":
        return f"{run_id}.parquet"
    name = re.sub(r"[^-\w]", "_", run_id)
    return name if _VERSION.search(name) else f"{name}-v0"
