"""Lines of any length in bounded memory, whatever the chunks; and what is on them."""

from __future__ import annotations

import json
import tracemalloc
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.ingest.documents import documents_of, is_text
from runbus.ingest.lines import START_BYTES, Line, LineReader

quick = settings(max_examples=150, deadline=None, derandomize=True)
CONTENT = st.binary(max_size=200).map(lambda raw: raw.replace(b"\x01", b"\n"))


def lines(content: bytes, chunk: int, limit: int) -> list[Line]:
    """Return the lines of some content, read in chunks."""
    reader = LineReader(limit)
    found = [line for at in range(0, len(content), chunk) for line in reader.feed(content[at : at + chunk])]
    return [*found, *reader.end()]


@quick
@given(CONTENT, st.integers(1, 50), st.integers(1, 40))
def test_lines_are_those_of_the_content_whatever_the_chunks(content: bytes, chunk: int, limit: int) -> None:
    """The reference splits the whole; a line above the limit has a start, size and hash, a blank one is passed over."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    expected = []
    parts = content.split(b"\n")
    for number, part in enumerate(parts, 1):
        if len(part) > limit:
            expected.append((number, part[:START_BYTES], len(part), sha256(part).hexdigest(), number < len(parts)))
        elif data := part.strip(b" \t\r\n\x00"):
            expected.append((number, data, len(part), "", number < len(parts)))
    found = [(one.number, one.data, one.size, one.sha256, one.ended) for one in lines(content, chunk, limit)]
    assert found == expected


def test_a_line_above_the_limit_takes_no_more_memory_than_the_limit() -> None:
    """200 MB in one line."""
    reader, chunk = LineReader(1 << 20), b"x" * (1 << 20)
    tracemalloc.start()
    for _ in range(200):
        assert not list(reader.feed(chunk))
    (line,) = reader.feed(b"\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (line.size, line.data, peak < 8 << 20) == (200 << 20, b"x" * START_BYTES, True)


def test_the_line_in_which_bytes_are_missing_is_not_handed_out() -> None:
    """Its number counts, and the next line is whole."""
    reader = LineReader(100)
    assert not list(reader.feed(b'{"a": '))
    reader.lose()
    assert [(one.number, one.data) for one in reader.feed(b'1}\n{"b": 2}\n')] == [(2, b'{"b": 2}')]


@pytest.mark.parametrize(
    ("line", "found", "wrong"),
    [
        (b'{"a": 1}', [{"a": 1}], ""),
        (b'{"a": 1}{"b": 2} \x00', [{"a": 1}, {"b": 2}], ""),
        (b'{"a": [Infinity, -Infinity]}', [{"a": [float("inf"), float("-inf")]}], ""),
        (b'{"a": 1, "a": 2}', [{"a": 2}], ""),
        (b'{"a": "tab\there"}', [{"a": "tab\there"}], ""),
        (b'{"a": 1} and more', [{"a": 1}], "no JSON"),
        (b'{"a": 1', [], "no JSON"),
        (b"[1, 2]", [], "a JSON list, not an object"),
        (b'{"a": "\xff"}', [], "byte 7 is 0xff"),
        (b'{"a": ' + b"9" * 5000 + b"}", [], "cannot be read as JSON"),
        (b'{"a": ' + b"[" * 100_000, [], ""),
        (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", [], "nested deeper"),
    ],
)  # fmt: skip
def test_objects_of_a_line(line: bytes, found: list[dict[str, Any]], wrong: str) -> None:
    """What can be read is, what is wrong is said; nothing raises."""
    documents = documents_of(line)
    assert documents.found == found
    assert wrong in documents.wrong
    assert bool(documents.wrong) == (found == [] or bool(wrong))


@quick
@given(st.binary(max_size=60))
def test_no_bytes_raise(line: bytes) -> None:
    """Whatever a file has."""
    documents_of(line)
    is_text(line)


@quick
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))  # fmt: skip
def test_what_json_writes_is_read(value: Any) -> None:
    """One object a line."""
    assert documents_of(json.dumps({"value": value}).encode()).found == [{"value": value}]
