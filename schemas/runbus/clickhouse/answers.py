"""Reads the answer to one statement piece by piece, as the bytes that ClickHouse has formatted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from urllib3.response import HTTPResponse

from runbus.clickhouse.asking import asked, asking
from runbus.clickhouse.errors import translate

_PIECE = 1 << 16
_TAG = "X-ClickHouse-Exception-Tag"
# A server before 25.11 writes its error behind the rows, without a mark.
_UNMARKED = re.compile(rb"Code: \d+\. DB::Exception: .*\(version [^)]*\)[^)]*\)?\s*\Z", re.DOTALL)
_UNMARKED_MOST = 1 << 14


@dataclass(frozen=True, slots=True)
class Question:
    """One statement.

    Attributes:
        sql: the text of the user.
        format: of the answer, unless the statement has a FORMAT clause.
        parameters: of its `{name:Type}` places.
        settings: beside `readonly`; what the user may not change is left out.
    """

    sql: str
    format: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Answer:
    """Reads the bytes of one answer.

    Attributes:
        format: of the bytes; "" if the statement returns nothing.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self.format: str = response.headers.get("X-ClickHouse-Format", "")

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes as they come. Raises StoreError, also if ClickHouse fails in the middle."""
        tag = self._response.headers.get(_TAG)
        marked = _until_marked(self._received(), f"__exception__\r\n{tag}".encode()) if tag else self._received()
        last = b""
        for piece in marked:
            last = (last + piece)[-_UNMARKED_MOST:] if not tag else b""
            yield piece
        if failed := _UNMARKED.search(last):
            raise _failure(failed[0])

    def _received(self) -> Iterator[bytes]:
        stream = self._response.stream(_PIECE)
        while True:
            with asking():
                piece = next(stream, None)
            if piece is None:
                return
            yield piece


@contextmanager
def answer(client: Client, question: Question) -> Iterator[Answer]:
    """Send a statement, which cannot write; cancel it at the end of the block if it is not read.

    Raises:
        StoreError: ClickHouse refuses, or does not answer.
    """
    settings = {n: v for n, v in question.settings.items() if _changeable(client, n)}
    settings["readonly"] = 1  # last: behind it nothing can be set
    with asking():
        response = cast(
            "HTTPResponse",
            client.raw_stream(
                question.sql,
                parameters=dict(question.parameters),
                settings=settings,
                transport_settings={"X-ClickHouse-Format": question.format},
            ),
        )
    try:
        yield Answer(response)
    finally:
        response.close()


def _changeable(client: Client, name: str) -> bool:
    known = client.server_settings.get(name)
    return known is not None and not known.readonly


def _until_marked(pieces: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    """Yield the bytes before the mark; raise those behind it as an error."""
    held = b""
    keep = len(mark) + 2  # a line end precedes the mark
    for piece in pieces:
        held += piece
        data, found, behind = held.partition(mark)
        if found:
            yield data.removesuffix(b"\r\n")
            raise _failure(behind + b"".join(pieces))
        if len(held) > keep:
            yield held[:-keep]
            held = held[-keep:]
    if held:
        yield held


def _failure(text: bytes) -> Exception:
    said = text.decode("utf-8", "replace").strip()
    return asked(translate(DatabaseError(re.sub(r"\n\d+ \w+\s+__exception__$", "", said))))
