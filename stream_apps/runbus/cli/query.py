"""Adds `runbus query`: one read-only statement, as a table, or in a format that ClickHouse writes itself."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from runbus.cli import rows
from runbus.cli.context import settings
from runbus.cli.option import option
from runbus.cli.output import Json, complain, write_bytes
from runbus.cli.runs import print_json_rows, read
from runbus.cli.tables import print_rows
from runbus.clickhouse.answers import Answer, Question, answer
from runbus.clickhouse.client import connect
from runbus.config import options as o
from runbus.config.errors import RunBusError
from runbus.config.terminal import printable

#: As ClickHouse calls them.
FORMATS = {
    "table": rows.FORMAT,
    "csv": "CSVWithNames",
    "tsv": "TabSeparatedWithNames",
    "json": "JSON",
    "jsonl": "JSONEachRow",
    "parquet": "Parquet",
}
# NaN and the infinities would be null
_SETTINGS = {"output_format_json_quote_denormals": 1}


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("query")(query)


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One statement, for example 'SELECT count() FROM steps'.")],
    format_: Annotated[str, option(o.QUERY_FORMAT)] = o.QUERY_FORMAT.default_value,
    output: Annotated[Path | None, option(o.QUERY_OUTPUT, "-o")] = o.QUERY_OUTPUT.default_value,
    most: Annotated[int, option(o.QUERY_ROWS)] = o.QUERY_ROWS.default_value,
    as_json: Json = False,
) -> None:
    """Run read-only SQL on the tables (docs/sql.md has examples)."""
    if as_json and (output is not None or format_ != "table"):
        raise typer.BadParameter("--json prints rows by name; with --output and --format, --format json is meant")
    if format_ == "parquet" and output is None:
        raise typer.BadParameter("--format parquet is no text: give --output FILE")
    target = settings(context).clickhouse
    if as_json:
        print_json_rows(read(target, sql))
        return
    question = Question(sql, FORMATS[format_], settings=_SETTINGS if "JSON" in FORMATS[format_] else {})
    with closing(connect(target)) as client, answer(client, question) as found:
        as_table = found.format in (rows.FORMAT, "") and format_ == "table"
        if output is not None:
            with _whole(output) as write:
                _send(found, write, as_table=as_table)
        elif as_table:
            table = rows.ShownRows(found.pieces())
            print_rows(table.columns, iter(table), most if sys.stdout.isatty() else None)
        elif sys.stdout.isatty():
            _print_text(found)
        else:
            _send(found, write_bytes, as_table=False)


def _send(found: Answer, write: Callable[[bytes], object], *, as_table: bool) -> None:
    """Write an answer to a file or a pipe: byte for byte."""
    if as_table:
        table = rows.ShownRows(found.pieces())
        print_rows(table.columns, iter(table), None, lambda text: write(text.encode()))
        return
    for piece in found.pieces():
        write(piece)


def _print_text(found: Answer) -> None:
    """Print a format's lines on a terminal; what it would act on is escaped, line ends and tabs are not."""
    held = b""
    for piece in found.pieces():
        lines, end, held = (held + piece).rpartition(b"\n")
        write_bytes(_escaped(lines) + end)
    write_bytes(_escaped(held))


def _escaped(lines: bytes) -> bytes:
    text = lines.decode("utf-8", "backslashreplace")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n")).encode()


@contextmanager
def _whole(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Yield a function that writes; a file gets its name once it is whole, a pipe or a device is written at once."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file.write
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                yield file.write
                file.flush()
                Path(file.name).chmod(0o666 & ~_umask())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RunBusError(f"cannot write {path}: {error.strerror or error}") from error
    complain(f"written to {path}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
