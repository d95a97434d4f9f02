"""Routing of statements: kinds, inline data, forbidden names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.local.clickhouse_http.errors import EngineError
from runbus.local.clickhouse_http.sql import (
    Insert,
    first_word,
    is_single,
    output_format,
    refuse_outside_access,
    split_insert,
    text,
    tokens,
)

FUNCTIONS = frozenset({"file", "url", "s3", "remote", "numbers", "merge", "values", "python", "filesystem"})


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (b"select 1", b"SELECT"),
        (b"  \n-- comment\n/* more */ (( SELECT 1))", b"SELECT"),
        (b"# shell comment\nINSERT INTO t VALUES (1)", b"INSERT"),
        (b"/* SELECT */ DROP TABLE t", b"DROP"),
        (b"/* never closed DROP", b""),
        (b"", b""),
    ],
)
def test_first_word(statement: bytes, word: bytes) -> None:
    """Comments, blanks and parentheses in front do not count."""
    assert first_word(statement) == word


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", Insert("INSERT INTO t ", "CSV", 25)),
        (b"insert into t (a, b) format Native\n\x00", Insert("insert into t (a, b) ", "Native", 35)),
        (
            b"INSERT INTO t SETTINGS async_insert = 0 FORMAT Avro",
            Insert("INSERT INTO t SETTINGS async_insert = 0 ", "Avro", 51),
        ),
        (b"INSERT INTO t FORMAT CSV ; \n1", Insert("INSERT INTO t ", "CSV", 28)),
        (b"INSERT INTO `FORMAT x` FORMAT CSV\n", Insert("INSERT INTO `FORMAT x` ", "CSV", 34)),
        (b"INSERT INTO t VALUES (1, 'FORMAT CSV')", None),
        (b"INSERT INTO t SELECT 1 FORMAT CSV", None),
        (b"INSERT INTO t", None),
    ],
)
def test_split_insert(statement: bytes, expected: Insert | None) -> None:
    """The head ends before FORMAT; data starts after one line break; VALUES and SELECT are the engine's."""
    assert split_insert(statement) == expected


@given(st.binary(max_size=300))
def test_inline_data_is_never_changed(data: bytes) -> None:
    """Whatever follows the format's line reaches the engine byte for byte."""
    statement = b"INSERT INTO t (a) FORMAT Avro\n" + data
    insert = split_insert(statement)
    assert insert is not None
    assert statement[insert.data_start :] == data


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(statement: bytes) -> None:
    """The lexer never fails and never loses its place."""
    ends = [(token.start, token.end) for token in tokens(statement)]
    assert all(start < end for start, end in ends)
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (b"SELECT 1", "TSV"),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1\n FORMAT Native SETTINGS max_threads = 1;", "Native"),
        (b"SELECT 'FORMAT JSON'", "TSV"),
        (b"SELECT * FROM (SELECT 1 FORMAT x)", "TSV"),
        (b"SELECT format('{}', 1) -- FORMAT JSON", "TSV"),
    ],
)
def test_output_format(statement: bytes, expected: str) -> None:
    """Only a FORMAT clause of the outer statement counts."""
    assert output_format(statement, "TSV") == expected


@pytest.mark.parametrize(
    ("statement", "single"),
    [(b"SELECT 1", True), (b"SELECT 1;;\n-- end", True), (b"SELECT ';'", True), (b"SELECT 1; DROP TABLE t", False)],
)
def test_is_single(statement: bytes, single: bool) -> None:
    """Semicolons in strings and at the end do not start another statement."""
    assert is_single(statement) is single


@pytest.mark.parametrize(
    "statement",
    [
        b"SELECT * FROM file('x')",
        b"SELECT FILE ('x')",
        b"SELECT `file`('x')",
        b"SELECT \"file\" /* gap */ ('x')",
        b"SELECT * FROM url('http://x')",
        b"SELECT * FROM s3('x')",
        b"SELECT * FROM Python(x)",
        b"SELECT * FROM fileSystem('x')",
        b"SELECT 1 INTO OUTFILE 'x'",
        b"SELECT 1 into--\noutfile 'x'",
        b"INSERT INTO t FROM INFILE 'x'",
        b"SELECT $a$ text $a$, file('x')",
        b"SELECT 'it''s', file('x')",
        b"SELECT 'a\\'', file('x')",
    ],
)
def test_outside_access_is_found(statement: bytes) -> None:
    """However it is written, a name that reaches outside is refused with ACCESS_DENIED."""
    with pytest.raises(EngineError) as caught:
        refuse_outside_access(statement, FUNCTIONS)
    assert caught.value.code == 497


@pytest.mark.parametrize(
    "statement",
    [
        b"SELECT 'file(1)', \"file\", `url` FROM numbers(10)",
        b"SELECT file, url FROM t -- file('x')",
        b"SELECT * FROM merge('db', 'x')",
        b"SELECT $tag$ file('x') INTO OUTFILE $tag$",
        b"SELECT profile(1), outfiles FROM t",
    ],
)
def test_harmless_names_pass(statement: bytes) -> None:
    """Strings, comments, columns and harmless table functions are not refused."""
    refuse_outside_access(statement, FUNCTIONS)


def test_text_must_be_utf8() -> None:
    """Bytes that are not UTF-8 are BAD_ARGUMENTS."""
    assert text("SELECT 'ü'".encode()) == "SELECT 'ü'"
    with pytest.raises(EngineError) as caught:
        text(b"SELECT '\xff'")
    assert caught.value.code == 36
