"""`runbus query` on a real ClickHouse: exact values, formats byte for byte, rows as they come."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from runbus.cli.query import FORMATS, Format
from runbus.cli.rows import FORMAT, ShownRows
from runbus.clickhouse.answers import Question, answer
from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from tests.integration.asked import Asked

pytestmark = pytest.mark.integration


@pytest.fixture
def client(clickhouse: ClickHouseSettings) -> Iterator[Client]:
    """Yield a connected client."""
    with closing(connect(clickhouse)) as client:
        yield client


@pytest.fixture
def asked(clickhouse: ClickHouseSettings, tmp_path: Path) -> Asked:
    """Return the command, with the engine's address."""
    return Asked(
        tmp_path,
        {
            "CLICKHOUSE_URL": clickhouse.url,
            "CLICKHOUSE_USER": clickhouse.user,
            "CLICKHOUSE_PASSWORD": clickhouse.password.reveal(),
            "CLICKHOUSE_DATABASE": clickhouse.database,
        },
    )


@pytest.mark.parametrize(
    "expression",
    [
        *("0.001", "0.1 + 0.2", "1.5e300", "5e-324", "toFloat32(0.1)", "-inf", "1790000000000000"),
        *("toUInt64(18446744073709551615)", "toInt128('-170141183460469231731687303715884105728')", "true"),
        *("toDecimal128('1234567890.000000001', 9)", "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')", "NULL"),
        *("toDate('2026-11-28')", "toDateTime64('2026-11-28 18:00:00.123456', 6, 'UTC')", "'run-1'", "''"),
        *(r"'it\'s \\ and \n and \t and \0'", r"'\x1b[31m\x07\x9b'", r"'\xff\xfe\x00'", "'\u202e\u200b日本é'"),
        *(r"['a\'b', '\n\x1b']", "[[1, 2], []]", "map('k', 1.5)", r"(1, 'a\x1b', NULL)", "toLowCardinality('x')"),
        *(r"'\\N'", "'NULL'", "toIPv4('127.0.0.1')", "CAST('b', 'Enum8(\\'a\\' = 1, \\'b\\' = 2)')"),
    ],
)
def test_what_is_shown_can_be_pasted(client: Client, expression: str) -> None:
    """A shown value, in quotes if its type needs them, is the same value again, and nothing that a terminal acts on."""
    with answer(client, Question(f"SELECT {expression} AS v, toTypeName(v)", FORMAT)) as found:
        ((shown, kind),) = ShownRows(found.pieces())
    assert shown.isprintable()
    if kind.startswith("Map"):  # SQL has no literal for it but where rows are inserted
        assert client.query(f"SELECT * FROM format(Values, 'v {kind}', $$({shown})$$)").first_row == ({"k": 1.5},)
        return
    bare = shown == "NULL" or kind.startswith(("Array", "Tuple", "Float", "Int", "UInt", "Bool"))
    kind = kind.replace("\\'", "'")
    pasted = (shown if bare else f"'{shown}'") + f"::{kind}" * (kind not in ("String", "Nullable(Nothing)"))
    same = client.query(f"SELECT toString(tuple({pasted})) = toString(tuple({expression})) AS same").first_row
    assert same == (1,)


SQL = "SELECT number AS n, number / 3 AS x, concat('a\\n', toString(number)) AS s FROM numbers(150000)"


@pytest.mark.parametrize("name", [Format.CSV, Format.TSV, Format.JSONL])
def test_a_format_is_clickhouses_own(asked: Asked, client: Client, name: Format) -> None:
    """The bytes are those that ClickHouse makes, headers once."""
    done = asked.run("query", SQL, "--format", name)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == client.raw_query(SQL, fmt=FORMATS[name])


def test_json_is_one_document(asked: Asked) -> None:
    """NaN and infinities are strings, as in --json; 64 bits are exact."""
    done = asked.run("query", "SELECT nan AS x, toUInt64(18446744073709551615) AS n", "--format", "json")
    assert json.loads(done.stdout)["data"] == [{"x": "nan", "n": 18446744073709551615}]
    assert json.loads(asked.run("query", "SELECT 0.1 AS x", "--json").stdout) == [{"x": 0.1}]


@pytest.mark.parametrize(
    ("clause", "out"),
    [("FORMAT JSONEachRow", b'{"a":"x\\u001B"}\n'), ("FORMAT TSVRaw", b"x\x1b\n"), ("FORMAT Values;", b"('x\x1b')")],
)
def test_a_format_clause_is_respected(asked: Asked, clause: str, out: bytes) -> None:
    """The statement's own FORMAT wins, and is printed as it comes."""
    for options in ((), ("--format", "csv")):
        done = asked.run("query", f"SELECT 'x\\x1b' AS a {clause}", *options)
        assert (done.returncode, done.stderr, done.stdout) == (0, b"", out)


def test_the_first_row_does_not_wait_for_the_last(asked: Asked) -> None:
    """A hundred million rows begin at once; whoever has read enough leaves, and that is no error."""
    began = time.monotonic()
    with subprocess.Popen(
        asked.argv("query", "SELECT number FROM numbers(100000000)"),
        env=asked.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        first = [child.stdout.readline().strip() for _ in range(3)]
        took = time.monotonic() - began
        child.stdout.close()
        errors = child.stderr.read()
    assert first == [b"number", b"0", b"1"]
    assert (child.returncode, errors) == (0, b"")
    assert took < 60  # the whole answer takes minutes


def test_an_error_behind_the_first_rows_fails_the_command(asked: Asked) -> None:
    """What was right is printed, then the error, exit code 1."""
    sql = "SELECT throwIf(number = 900000, 'no more') AS n FROM numbers(1000000) SETTINGS max_block_size = 1000"
    done = asked.run("query", sql.partition(" SETTINGS")[0], "--format", "csv")
    assert done.returncode == 1
    assert done.stderr.startswith(b"runbus: no more")
    assert b"exception" not in done.stdout


def test_a_file_is_there_once_it_is_whole(asked: Asked, client: Client) -> None:
    """Parquet goes to a file; a statement that fails leaves none, and no half of one."""
    path = asked.home / "out.parquet"
    done = asked.run("query", "SELECT number AS n FROM numbers(10)", "--format", "parquet", "--output", str(path))
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == f"runbus: written to {path}\n"
    assert path.read_bytes()[:4] == path.read_bytes()[-4:] == b"PAR1"
    failed = asked.run("query", "SELECT nonsense", "--format", "csv", "--output", str(asked.home / "failed.csv"))
    assert failed.returncode == 1
    table = asked.run("query", "SELECT 'a' AS x", "-o", str(asked.home / "table.txt"))
    assert (table.returncode, (asked.home / "table.txt").read_text()) == (0, "x\na\n1 rows\n")
    assert asked.run("query", "SELECT 1", "-o", "/nonexistent/x").stderr.startswith(b"runbus: cannot write")
    assert sorted(entry.name for entry in asked.home.iterdir()) == ["out.parquet", "table.txt"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--format", "parquet"), b"--output"),
        (("--json", "--format", "csv"), b"--format json"),
        (("--format", "x"), b"x"),
    ],
)
def test_options_that_do_not_fit_are_bad_usage(asked: Asked, options: tuple[str, ...], text: bytes) -> None:
    """Exit code 2 and what would be right, before anybody is asked."""
    done = asked.run("query", "SELECT 1", *options)
    assert (done.returncode, done.stdout) == (2, b"")
    assert text in done.stderr


def test_a_statement_without_an_answer(asked: Asked) -> None:
    """No rows still have a head."""
    assert asked.run("query", "SELECT 1 AS a WHERE 0").stdout == b"a\n0 rows\n"
    assert asked.run("query", "SELECT 1 AS a WHERE 0", "--format", "csv").stdout == b'"a"\n'


def test_a_terminal_gets_a_bounded_table(asked: Asked) -> None:
    """A thousand rows and a sentence; formats that would act on the terminal are escaped."""
    shown = asked.on_a_terminal("query", "SELECT number FROM numbers(5000)")
    assert "the first 1,000 rows; there are more: --rows 0 shows all" in " ".join(shown.split())
    assert [line for line in shown.splitlines() if line.strip().isdigit()][-1].strip() == "999"
    assert "5,000 rows" in asked.on_a_terminal("query", "SELECT number FROM numbers(5000)", "--rows", "0")
    raw = asked.on_a_terminal("query", "SELECT 'a\\x1b[2J\\x07' AS x, 'b' AS y FORMAT TSVRaw")
    assert raw.splitlines() == ["a\\x1b[2J\\x07\tb"]


@pytest.mark.parametrize("options", [(), ("--format", "csv"), ("--json",)])
def test_no_statement_writes(asked: Asked, client: Client, options: tuple[str, ...]) -> None:
    """The owner's own rows are safe from `query`, whatever the format."""
    client.command("CREATE TABLE IF NOT EXISTS kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    try:
        client.command("INSERT INTO kept VALUES (1)")
        for sql in ("DROP TABLE kept", "INSERT INTO kept VALUES (2)", "TRUNCATE TABLE kept", "CREATE DATABASE other"):
            done = asked.run("query", sql, *options)
            assert (done.returncode, done.stdout) == (1, b""), sql
            assert b"readonly" in done.stderr.lower(), done.stderr
        assert client.query("SELECT groupArray(n) FROM kept").first_row == ([1],)
    finally:
        client.command("DROP TABLE kept")
