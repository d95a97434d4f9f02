"""Reads just enough of ClickHouse's SQL to route a request: its kind, the start of inline data, what it may not use.

The engine parses the statement; nothing here may accept what it refuses, or change a byte that reaches it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runbus.local.clickhouse_http.errors import ACCESS_DENIED, BAD_ARGUMENTS, EngineError, engine_error

_TOKEN = re.compile(
    rb"""
    (?P<skip>   \s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<quoted> `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*" )
  | (?P<string> '(?:[^'\\]|\\.|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
  | (?P<word>   \w+ )
  | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)

# A statement's own text; what is longer is inline data (VALUES or FORMAT) that the engine parses.
_HEAD_LIMIT = 1 << 18

READING = frozenset({b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"FROM"})

# Table functions that reach nothing outside the engine's own tables.
_SAFE_TABLE_FUNCTIONS = frozenset(
    {"format", "fuzzjson", "generaterandom", "generateseries", "generate_series", "loop", "merge", "null", "numbers"}
    | {
        "numbers_mt",
        "primes",
        "sqlstandardvalues",
        "values",
        "view",
        "viewexplain",
        "viewifpermitted",
        "zeros",
        "zeros_mt",
    }
)
# Scalar functions that read files or other processes' state.
_UNSAFE_FUNCTIONS = frozenset({"file", "catboostevaluate", "filesystemavailable", "getserverport", "addresstoline"})


@dataclass(frozen=True, slots=True)
class Token:
    """A lexical token: `kind` is word, quoted, string or other; `text` as written; positions in the statement."""

    kind: str
    text: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with data in a FORMAT: `head` up to FORMAT, and where the inline data starts in the statement."""

    head: str
    format: str
    data_start: int


def text(statement: bytes) -> str:
    """Decode a statement. Raises EngineError if it is not UTF-8."""
    try:
        return statement.decode()
    except UnicodeDecodeError as error:
        raise engine_error(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"The statement is not UTF-8: {error}.") from None


def tokens(statement: bytes) -> Iterator[Token]:
    """Yield the tokens of a statement; white space and comments are left out."""
    for match in _TOKEN.finditer(statement):
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        if kind is not None and kind != "skip":
            yield Token(kind, match[0], match.start(), match.end())


def first_word(statement: bytes) -> bytes:
    """Return the keyword that opens a statement, in upper case; parentheses in front do not count."""
    for token in tokens(statement[:_HEAD_LIMIT]):
        if token.text != b"(":
            return token.text.upper()
    return b""


def split_insert(statement: bytes) -> Insert | None:
    """Split `INSERT INTO ... FORMAT name [data]`; None if it has no FORMAT clause (VALUES or SELECT)."""
    depth = 0
    previous: Token | None = None
    for token in tokens(statement[:_HEAD_LIMIT]):
        word = token.text.upper() if token.kind == "word" else b""
        if depth == 0 and word in {b"VALUES", b"SELECT", b"WITH"}:
            return None
        if depth == 0 and previous is not None and token.kind == "word":
            return Insert(text(statement[: previous.start]), token.text.decode(), _data_start(statement, token.end))
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        previous = token if word == b"FORMAT" and depth == 0 else None
    return None


def split_settings(head: str) -> tuple[str, str]:
    """Split the head of an INSERT before its SETTINGS clause, which is empty if there is none."""
    depth = 0
    statement = head.encode()
    for token in tokens(statement):
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        if depth == 0 and token.kind == "word" and token.text.upper() == b"SETTINGS":
            return text(statement[: token.start]), text(statement[token.start :])
    return head, ""


def _data_start(statement: bytes, position: int) -> int:
    """Skip what ClickHouse skips between the format's name and the data: blanks, one semicolon, one line break."""
    while statement[position : position + 1] in {b" ", b"\t", b"\r", b";"}:
        position += 1
    return position + 1 if statement[position : position + 1] == b"\n" else position


def output_format(statement: bytes, default: str) -> str:
    """Return the format that a reading statement asks for in its last FORMAT clause, or `default`."""
    found, previous, depth = default, b"", 0
    for token in tokens(statement):
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        if depth == 0 and previous == b"FORMAT" and token.kind == "word":
            found = token.text.decode()
        previous = token.text.upper() if token.kind == "word" else b""
    return found


def is_single(statement: bytes) -> bool:
    """Return whether nothing follows the first top-level semicolon: the engine would run the rest as well."""
    ended = False
    for token in tokens(statement):
        if ended and token.text != b";":
            return False
        ended = ended or token.text == b";"
    return True


def refuse_outside_access(statement: bytes, table_functions: frozenset[str]) -> None:
    """Raise ACCESS_DENIED if a statement names something outside the engine: a file, a host, a process.

    `table_functions` are the engine's own (lower case): what is not known to be harmless is refused.
    """
    denied = (table_functions - _SAFE_TABLE_FUNCTIONS) | _UNSAFE_FUNCTIONS
    name: Token | None = None
    for token in tokens(statement):
        if token.kind == "word" and token.text.upper() in {b"INFILE", b"OUTFILE"}:
            raise _denied(token.text.decode().upper())
        if token.text == b"(" and name is not None:
            called = name.text.decode(errors="replace").strip('`"').lower()
            if called in denied:
                raise _denied(f"{called}()")
        name = token if token.kind in {"word", "quoted"} else None


def _denied(what: str) -> EngineError:
    return engine_error(ACCESS_DENIED, "ACCESS_DENIED", f"{what} is not allowed for this user.")
