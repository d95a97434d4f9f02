"""Gives the answer to a question in the form that was asked for: JSON, columns, CSV, Arrow, or the SQL itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.types import Receive, Scope, Send

from runbus.dashboard.history import columns
from runbus.dashboard.history.api import History, Question
from runbus.dashboard.history.asked import As, Asked
from runbus.dashboard.history.native import Table
from runbus.dashboard.history.statements import written_out
from runbus.dashboard.history.stitch import Seam
from runbus.dashboard.history.values import said
from runbus.dashboard.parts import Parts

_FORMATS = {
    "csv": ("CSVWithNames", "text/csv; charset=utf-8"),
    "arrow": ("ArrowStream", "application/vnd.apache.arrow.stream"),
}
_SQL = "text/plain; charset=utf-8"


class Fresh(BaseModel):
    """When a question was asked (microseconds since the epoch), and the offsets below which the answer has all."""

    asked_at: int
    below: dict[str, int]


class JsonAnswer(BaseModel):
    """An answer in JSON; some have more members than these."""

    model_config = ConfigDict(extra="allow")
    columns: dict[str, list[Any]]
    rows: int
    fresh: Fresh
    left_out: int
    not_finite: int
    query: str


class ErrorAnswer(BaseModel):
    """What went wrong, what to do, and names that may have been meant."""

    error: str
    todo: str
    near: list[str]


#: For `APIRouter(responses=...)`: every form of an answer, and of an error.
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": JsonAnswer,
        "content": {
            columns.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
            "text/plain": {"schema": {"type": "string"}},
        },
    },
    **{status: {"model": ErrorAnswer} for status in (400, 404, 413, 422, 503, 504)},
}


class HistoryRoute(APIRoute):
    """A route whose questions end when its client leaves."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler around the one of FastAPI."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await _while_there(request, inner(request))

        return handler


async def _while_there(request: Request, answer: Awaitable[Response]) -> Response:
    """Return the answer; cancel what makes it when the client leaves."""
    working = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            return Response(status_code=499)  # nobody reads it
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@dataclass(frozen=True, slots=True)
class Asking:
    """One request to the history.

    Attributes:
        history: who answers.
        asker: for whom.
        form: of the answer.
        seam: where the past ends.
        asked_at: microseconds since the epoch.
    """

    history: History
    asker: str
    form: As
    seam: Seam
    asked_at: int = field(default_factory=lambda: time.time_ns() // 1000)

    @classmethod
    def of(cls, parts: Parts, request: Request, asked: Asked) -> Asking:
        """Return a request to the history of a dashboard."""
        asker = request.client.host if request.client else ""
        seam = Seam(parts.live.below, parts.settings.kafka.topic_prefix, parts.topic_ids)
        return cls(parts.history, asker, asked.form, seam)

    @property
    def shows(self) -> bool:
        """Whether the form shows what the server makes of the rows; the others are ClickHouse's own, or the SQL."""
        return self.form in ("json", "columns")

    async def table(self, question: Question) -> Table:
        """Return the columns of an answer. Raises ApiError."""
        return await self.history.table(question, self.asker)

    async def answer(
        self,
        question: Question,
        change: Callable[[Table], Table] | None = None,
        **beside: Any,  # noqa: ANN401 - JSON
    ) -> Response:
        """Return the answer to a question in its form.

        Args:
            question: what to ask.
            change: makes other columns of the answer, for JSON and columns.
            beside: what is said beside the columns, in JSON and columns.
        """
        if self.form == "sql":
            return Response(written_out(question.sql, question.parameters), media_type=_SQL)
        if self.form in _FORMATS:
            format_, media_type = _FORMATS[self.form]
            return Response(await self.history.formatted(question, format_, self.asker), media_type=media_type)
        found = await self.table(question)
        return self.given(question, change(found) if change else found, **beside)

    def given(
        self,
        question: Question,
        table: Table,
        raw: Sequence[str] = (),
        **beside: Any,  # noqa: ANN401 - JSON
    ) -> Response:
        """Return a table that is there as the answer in JSON or columns."""
        fresh = {"asked_at": self.asked_at, "below": self.seam.said}
        about = {"fresh": fresh, "left_out": 0, "query": question.name, **beside}
        if self.form == "columns":
            return Written(partial(columns.pack, table, about, frozenset(raw)), columns.MEDIA_TYPE)
        return Written(partial(_in_json, table, about), "application/json")


def _in_json(table: Table, about: Mapping[str, Any]) -> bytes:
    shown = {name: said(column) for name, column in table.columns.items()}
    content = {
        "columns": {name: values for name, (values, _) in shown.items()},
        "rows": table.rows,
        "not_finite": sum(count for _, count in shown.values()),
        **about,
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


class Written(Response):
    """An answer that is written in a thread: megabytes of numbers must not hold up who follows the live part.

    Args:
        write: returns its bytes.
        media_type: of them.
    """

    def __init__(self, write: Callable[[], bytes], media_type: str) -> None:
        self._write = write
        super().__init__(media_type=media_type)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write and send it; see ASGI."""
        self.body = await asyncio.to_thread(self._write)
        self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)
