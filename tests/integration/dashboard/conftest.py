"""A dashboard over the real engine, with a run that is stored as the sink stores it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import Sources
from runbus.dashboard.app import create_app
from runbus.dashboard.history.clickhouse import ClickHouseHistory
from runbus.dashboard.live.api import LiveLog
from runbus.dashboard.parts import Parts
from runbus.dashboard.settings import DashboardSettings
from runbus.kafka.errors import BrokerUnavailable
from runbus.schemas.events import Annotation
from tests.integration.clickhouse.conftest import TOPIC_ID, Store

HOST = "http://127.0.0.1:8600"


class Page:
    """The API of a dashboard, as a browser asks it.

    Args:
        runner: of the event loop that all questions share.
        client: of HTTP.
        below: topic -> partition -> what the sink has committed; a test may change it.
        topic_ids: Kafka's id of each topic, by full name; likewise.
    """

    def __init__(
        self,
        runner: asyncio.Runner,
        client: httpx.AsyncClient,
        below: dict[str, dict[int, int]],
        topic_ids: dict[str, str],
    ) -> None:
        self.runner = runner
        self._client = client
        self.below = below
        self.topic_ids = topic_ids

    def get(self, path: str, **parameters: object) -> Any:
        """Return the JSON of an answer that must be one."""
        answer = self.raw(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def raw(self, path: str, **parameters: object) -> httpx.Response:
        """Return an answer, whatever it is."""
        named: Any = {{"from_": "from", "as_": "as"}.get(name, name): value for name, value in parameters.items()}
        return self.runner.run(self._client.get(f"/api/v1{path}", params=named))


class Unwritten:
    """An annotator without a log: these tests ask, and say nothing."""

    async def write(self, annotation: Annotation) -> None:
        """Refuse."""
        raise BrokerUnavailable(f"there is no broker here for a {annotation.kind}")


@pytest.fixture(scope="session")
def store(clickhouse: ClickHouseSettings) -> Iterator[Store]:
    """Yield a migrated database that all tests of this folder share; each takes runs of its own."""
    settings = dataclasses.replace(clickhouse, database=f"t{uuid.uuid4().hex[:10]}")
    migrate(settings)
    client = connect(settings)
    yield Store(settings, client)
    client.command(f"DROP DATABASE {settings.database} SYNC")
    client.close()


@pytest.fixture(scope="session")
def page(store: Store) -> Iterator[Page]:
    """Yield the API over that database."""
    settings = dataclasses.replace(DashboardSettings.load(Sources({}, {})), clickhouse=store.settings)
    below: dict[str, dict[int, int]] = {}
    history = ClickHouseHistory(store.settings)
    live = SimpleNamespace(below=lambda topic: below.get(topic, {}))
    topic_ids = {f"{settings.kafka.topic_prefix}{topic}": TOPIC_ID for topic in ("steps", "episodes", "runs")}
    app = create_app(Parts(settings, cast("LiveLog", live), history, Unwritten(), topic_ids))
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST)
        yield Page(runner, client, below, topic_ids)
        runner.run(client.aclose())
        runner.run(history.close())


def columns(answer: Mapping[str, Any], *names: str) -> list[tuple[Any, ...]]:
    """Return the rows of an answer in JSON."""
    return list(zip(*(answer["columns"][name] for name in names), strict=True))


def unpacked(content: bytes) -> dict[str, Any]:
    """Return the header of an answer in columns."""
    size = int.from_bytes(content[:4], "little")
    assert (4 + size) % 8 == 0
    header: dict[str, Any] = json.loads(content[4 : 4 + size])
    return header
