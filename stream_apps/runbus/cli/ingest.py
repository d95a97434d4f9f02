"""Adds `runbus ingest`: what other programs wrote, or what a worker prints while it runs."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from runbus.cli.context import Settings, settings
from runbus.cli.option import option
from runbus.cli.output import Json, complain, plain, say
from runbus.cli.output import print_json as print_json_document
from runbus.config import options as o
from runbus.config.errors import ConfigError, RunBusError
from runbus.config.sources import hand_on
from runbus.ingest.acts import Defaults
from runbus.ingest.beside import Beside
from runbus.ingest.formats import FORMATS, acts_of_file, dialect
from runbus.ingest.letters import KafkaLetters
from runbus.ingest.reading import Reading
from runbus.ingest.recordings import Recordings, recorder_of
from runbus.ingest.worker import CannotStart, Worker, end_as
from runbus.kafka.topics import check_id
from runbus.recorder import RunBus
from runbus.recorder.settings import CourierSettings

_CHUNK = 1024 * 1024
_COMMAND = "runbus.ingest.command"
# So much may wait for Kafka before reading a file waits too: less than what a recorder's queue holds.
_AHEAD_ROWS, _AHEAD_BYTES = 20_000, 16 * 1024 * 1024
_STALLED_S = 60.0  # nothing was delivered for so long: the broker is away
_BESIDE_BYTES = 64 * 1024 * 1024


class _WithCommand(TyperCommand):
    """The command, which has another one behind `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own click, not exported
        """Take what stands behind the first `--` away."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[at + 1 :] if at < len(args) else None
        parsed: list[str] = super().parse_args(ctx, args[:at])
        return parsed


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("ingest", cls=_WithCommand)(ingest)


def ingest(
    context: typer.Context,
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]... [-- COMMAND...]", help="Files, in this order; without any, standard input."),
    ] = None,
    run_id: Annotated[str, option(o.INGEST_RUN)] = o.INGEST_RUN.default_value,
    agent: Annotated[str, option(o.INGEST_AGENT)] = o.INGEST_AGENT.default_value,
    frames: Annotated[o.IngestFrames, option(o.INGEST_FRAMES)] = o.INGEST_FRAMES.default_value,
    max_line: Annotated[int, option(o.INGEST_MAX_LINE)] = o.INGEST_MAX_LINE.default_value,
    as_json: Json = False,
) -> None:
    """Record what another program wrote, or what COMMAND prints while it runs (docs/ingest.md)."""
    command: list[str] | None = context.meta[_COMMAND]
    _check(format_, files or [], command, run_id, agent)
    defaults = Defaults(run_id, agent, frames)
    current = settings(context)
    if command is not None:
        _beside(current, format_, defaults, max_line, command, as_json=as_json)
    elif FORMATS[format_].lines:
        _lines(current, format_, defaults, max_line, files or [], as_json=as_json)
    else:
        _files(current, format_, defaults, files or [], as_json=as_json)


def _check(format_: str, files: list[Path], command: list[str] | None, run_id: str, agent: str) -> None:
    """Raise ConfigError if the command cannot be what is meant."""
    if format_ not in FORMATS:
        raise ConfigError(f"there is no format {format_!r}: take one of {', '.join(FORMATS)}")
    lines = FORMATS[format_].lines
    if command is not None:
        if not command:
            raise ConfigError("there is no command behind --: name the worker to run")
        if files:
            raise ConfigError("name files, or a command behind --: not both")
        if not lines:
            raise ConfigError(f"{format_} is a format of whole files: name them")
    elif not lines and not files:
        raise ConfigError(f"{format_} is a format of whole files: name them")
    for name, value in (("--run", run_id), ("--agent", agent)):
        if value:
            try:
                check_id(name, value)
            except RunBusError as error:
                raise ConfigError(str(error)) from error
    for path in files:
        if not path.exists():
            raise ConfigError(f"there is no {path}")


@dataclass(slots=True)
class _Target:
    """Where it is recorded."""

    recordings: Recordings
    letters: KafkaLetters
    kafka: CourierSettings
    since_rows: int = 0
    since_bytes: int = 0
    letters_left: int = 0

    def keep_pace(self, size: int) -> None:
        """Wait for Kafka if much is on its way. Raises RunBusError if it takes nothing."""
        made = self.recordings.made
        rows = made.steps + made.episodes + made.metrics
        self.since_bytes += size
        if rows - self.since_rows < _AHEAD_ROWS and self.since_bytes < _AHEAD_BYTES:
            return
        self.since_rows, self.since_bytes = rows, 0
        if not self.recordings.flush(_STALLED_S):
            raise RunBusError(
                f"Kafka at {self.kafka.kafka.bootstrap_servers} has not taken what was read within {_STALLED_S:.0f} s: "
                "start it, then read the whole file again, under another --run"
            )

    def deliver(self, timeout: float) -> None:
        """Wait for the rest."""
        self.recordings.flush(timeout)
        self.recordings.count_undelivered()
        self.letters_left = self.letters.flush(timeout)


def _target(current: Settings, run: str) -> _Target:
    kafka = current.kafka
    hand_on(current.flags)
    courier = CourierSettings.load(current.sources)
    bus = RunBus()
    return _Target(Recordings(partial(recorder_of, bus=bus, settings=kafka)), KafkaLetters(kafka, run), courier)


def _named(format_: str, defaults: Defaults) -> Defaults:
    return defaults if defaults.run else replace(defaults, run=f"{format_}-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def _lines(
    current: Settings, format_: str, defaults: Defaults, limit: int, files: list[Path], *, as_json: bool
) -> None:
    """Read files of lines, or standard input."""
    defaults = _named(format_, defaults)
    target = _target(current, defaults.run)
    one = dialect(format_, defaults)
    piped = not files and not stat.S_ISREG(os.fstat(0).st_mode)
    reading = Reading(one, target.recordings, target.letters, limit, prints=piped)
    if not piped:  # who writes into a pipe does not wait for Kafka
        reading.after_line = target.keep_pace
    sources: list[Path | None] = [*files] if files else [None]
    try:
        for path in sources:
            reading.begin("" if path is None else str(path))
            for chunk in _chunks(path):
                reading.feed(chunk)
            reading.end()
    except KeyboardInterrupt:
        target.recordings.close("interrupted", "Ctrl-C")
        target.deliver(target.kafka.flush_seconds)
        raise typer.Exit(130) from None
    target.recordings.close(one.unended, "" if one.unended == "completed" else "the source does not say how it ended")
    target.deliver(_STALLED_S)
    _summarise(_summary(target, reading), as_json=as_json, print_line=say)


def _chunks(path: Path | None) -> Iterator[bytes]:
    if path is None:
        while chunk := os.read(0, _CHUNK):
            yield chunk
        return
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise RunBusError(f"cannot read {path}: {error.strerror or error}") from error


def _files(current: Settings, format_: str, defaults: Defaults, files: list[Path], *, as_json: bool) -> None:
    """Read whole files."""
    target = _target(current, defaults.run)
    for path in files:
        for act in acts_of_file(format_, path, defaults):
            target.recordings.take(act)
            target.keep_pace(0)
        target.recordings.close("completed", "")
    target.deliver(_STALLED_S)
    _summarise(_summary(target, None), as_json=as_json, print_line=say)


def _beside(
    current: Settings, format_: str, defaults: Defaults, limit: int, command: list[str], *, as_json: bool
) -> None:
    """Run a worker and read what it prints. Its output is ours, so the summary goes to standard error."""
    defaults = _named(format_, defaults)
    target = _target(current, defaults.run)
    try:
        worker = Worker(command)  # before any thread begins
    except CannotStart as error:
        complain(str(error))
        raise typer.Exit(error.code) from error
    reading = Reading(dialect(format_, defaults), target.recordings, target.letters, limit, prints=True)
    beside = Beside(reading, _BESIDE_BYTES, lambda error: complain(f"the worker is no longer recorded: {error}"))
    code = worker.pass_on(beside.take)
    beside.end()
    if code == 0:
        target.recordings.close_begun("interrupted", "the worker said that a run begins, and not how it ended")
        target.recordings.close("completed", "")
    else:
        target.recordings.close("failed" if code > 0 else "interrupted", _end_text(code))
    target.deliver(target.kafka.flush_seconds)
    try:
        _summarise(_summary(target, reading), as_json=as_json, print_line=_say_beside)
    except RunBusError as error:
        complain(str(error))
    end_as(code)


def _end_text(code: int) -> str:
    return f"the worker ended with exit code {code}" if code > 0 else f"the worker was ended by signal {-code}"


def _say_beside(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _summary(target: _Target, reading: Reading | None) -> dict[str, Any]:
    counts = target.recordings.made
    made: dict[str, Any] = {one.name: getattr(counts, one.name) for one in fields(counts)}
    made["left_out"] = {what: {"count": n, "bytes": size} for what, (n, size) in counts.left_out.items()}
    return {
        **made,
        **({} if reading is None else asdict(reading.read)),
        "dead_letters": target.letters.taken,
        "letters_undelivered": target.letters_left,
    }


def _summarise(summary: dict[str, Any], *, as_json: bool, print_line: Callable[[str], None]) -> None:
    """Print what was done. Raises RunBusError if something was recorded and is not in Kafka."""
    if as_json and print_line is say:
        print_json_document(summary)
    elif as_json:
        import json

        print_line(json.dumps(plain(summary)))
    else:
        for line in _sentences(summary):
            print_line(line)
    rows, letters = summary["dropped"] + summary["undelivered"], summary["letters_undelivered"]
    if rows or letters:
        lost = " and ".join(f"{count:,} {what}" for count, what in ((rows, "rows"), (letters, "dead letters")) if count)
        raise RunBusError(f"{lost} are not in Kafka: it was away, or slower than the source")


def _sentences(summary: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{summary['steps']:,} steps in {summary['episodes']:,} episodes of {summary['streams']:,} streams, "
        f"{summary['metrics']:,} metrics, {summary['scores']:,} scores, {summary['artifacts']:,} artifacts"
    )
    if "lines" in summary:
        yield f"read: {summary['lines']:,} lines, {summary['documents']:,} documents"
    for name, text in (
        ("text", "lines that are no JSON"),
        ("malformed", "lines that could not be used, or not all of them"),
        ("too_long", "lines above the limit (--max-line-mb)"),
        ("lost_bytes", "bytes were printed faster than they could be read"),
    ):
        if summary.get(name):
            yield f"not recorded: {summary[name]:,} {text}"
    for what, found in summary["left_out"].items():
        yield f"not recorded: {found['count']:,} {what}, {found['bytes']:,} bytes (--frames)"
    for name, text in (("passed", "nothing to record"), ("unknown", "not known")):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary[name].items()))
        if kinds:
            yield f"kinds, {text}: {kinds}"
    if summary["dead_letters"]:
        yield f"dead letters: {summary['dead_letters']:,} (runbus dlq list)"
