"""Asks ClickHouse: within a budget, one connection a question, cancelled when its asker is gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import DEFAULT_PORTS, tls_arguments
from runbus.clickhouse.errors import Ambiguous, StoreError
from runbus.config.clickhouse import ClickHouseSettings
from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.api import MOST_BYTES, MOST_MEMORY, MOST_ROWS, MOST_SECONDS, Question
from runbus.dashboard.history.budget import Budget
from runbus.dashboard.history.native import Table, empty, parse
from runbus.dashboard.history.statements import bound

# ClickHouse looks at its clock between blocks only; a user whose settings are fixed has its own limit.
_GRACE_SECONDS = 1.5
_CONNECT_SECONDS = 3
_SETTINGS: Mapping[str, object] = {
    "max_memory_usage": MOST_MEMORY,
    "max_result_rows": MOST_ROWS,
    "max_result_bytes": MOST_BYTES,
    "wait_end_of_query": 1,  # so an error has its status, and no half answer is taken for a whole one
    "cancel_http_readonly_queries_on_client_close": 1,
    "output_format_json_quote_64bit_integers": 0,
}
#: ClickHouse's error number -> status of HTTP.
STATUSES: Mapping[int, int] = {
    **dict.fromkeys((36, 43, 70, 72, 427, 457), 400),  # a value that does not fit its place, a bad regular expression
    **dict.fromkeys((158, 241, 307, 396), 413),
    **dict.fromkeys((159, 160, 209), 504),
}


class ClickHouseHistory:
    """Answers questions from ClickHouse; see api.History.

    Args:
        settings: of ClickHouse; nothing is connected before the first question.
        budget: how many questions are asked at once.
        seconds: that a question may take.
    """

    def __init__(self, settings: ClickHouseSettings, budget: Budget | None = None, seconds: int = MOST_SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds
        self._budget = budget or Budget()
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()
        self._changes: dict[str, object] = {}
        self._columns: dict[str, dict[str, str]] = {}
        #: Questions by their end: answered, failed, refused, cancelled.
        self.ended: Counter[str] = Counter()

    async def table(self, question: Question, asker: str) -> Table:
        """Return the answer as columns; see api.History."""
        found = await asyncio.to_thread(parse, await self.formatted(question, "Native", asker))
        return found if found.columns else await self._empty(question, asker)

    async def formatted(self, question: Question, format_: str, asker: str) -> bytes:
        """Return the answer in a format of ClickHouse; see api.History."""
        end = "refused"
        try:
            async with self._budget.turn(asker):
                end = "failed"
                found = await self._in_time(question, format_)
                end = "answered"
                return found
        except asyncio.CancelledError:
            end = "cancelled"
            raise
        finally:
            self.ended[end] += 1

    @property
    def running(self) -> int:
        """How many questions are under way."""
        return self._budget.running.total()

    async def _in_time(self, question: Question, format_: str) -> bytes:
        try:
            async with asyncio.timeout(self._seconds + _GRACE_SECONDS):
                return await self._asked(question, format_)
        except TimeoutError:
            raise ApiError(
                504, f"ClickHouse did not answer in {self._seconds} s", "Ask for less: a shorter range, one agent"
            ) from None
        except StoreError as error:
            raise refusal(error, self._settings.url) from error

    async def _empty(self, question: Question, asker: str) -> Table:
        """Return an answer without rows: it comes without its columns, so ask which there are, once a statement."""
        if question.sql not in self._columns:
            described = Question(question.name, f"DESCRIBE (\n{question.sql}\n)", question.parameters)
            about = parse(await self.formatted(described, "Native", asker)).columns
            names, types = about["name"].plain(), about["type"].plain()
            self._columns[question.sql] = dict(zip(names, types, strict=True))
        return empty(self._columns[question.sql])

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _asked(self, question: Question, format_: str) -> bytes:
        client = await self._connected()
        with asking():
            return await client.raw_query(
                question.sql,
                parameters=bound(question.parameters),
                settings=self._changes,
                transport_settings={"X-ClickHouse-Format": format_},
            )

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                client = await _connect(self._settings, self._seconds)
                self._changes = _changes(client, self._seconds)
                self._client = client
            return self._client


async def _connect(settings: ClickHouseSettings, seconds: int) -> AsyncClient:
    address = urlsplit(settings.url)
    with asking():
        return await clickhouse_connect.get_async_client(
            interface=address.scheme,
            host=address.hostname,
            port=address.port or DEFAULT_PORTS[address.scheme],
            proxy_path=address.path.strip("/"),
            username=settings.user,
            password=settings.password.reveal(),
            database=settings.database or None,
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=seconds + 2 * _GRACE_SECONDS,
            query_retries=1,
            autogenerate_session_id=False,
            **tls_arguments(settings),
        )


def _changes(client: AsyncClient, seconds: int) -> dict[str, object]:
    """Return the settings of a question: what its user may not change is left out."""
    known = client.server_settings
    changes = {
        name: value
        for name, value in {"max_execution_time": seconds, **_SETTINGS}.items()
        if name not in known or not known[name].readonly
    }
    if "readonly" in known and not known["readonly"].readonly and str(known["readonly"].value) == "0":
        changes["readonly"] = 1  # last: behind it nothing can be set
    return changes


def refusal(error: StoreError, url: str = "") -> ApiError:
    """Return what the page says of a refusal, or that nobody answers at `url`."""
    status = STATUSES.get(error.code, 503) if error.code is not None else 503
    said = error.text.rstrip(".")
    if isinstance(error, Ambiguous) and error.code is None:
        said = "History is not there: " + said.replace("ClickHouse did not", f"ClickHouse at {url} did not", 1)
    return ApiError(status, said, error.advice)
