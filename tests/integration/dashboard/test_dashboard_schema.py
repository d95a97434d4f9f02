"""Whatever is asked of the history's API, it answers as its OpenAPI document says, and never with a fault."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from runbus.clickhouse.tables import EPISODES
from runbus.config.sources import Sources
from runbus.dashboard.app import create_app
from runbus.dashboard.history.budget import Budget
from runbus.dashboard.history.clickhouse import ClickHouseHistory
from runbus.dashboard.live.api import LiveLog
from runbus.dashboard.parts import Parts
from runbus.dashboard.settings import DashboardSettings
from tests.integration.clickhouse.conftest import Store, body, step_batch
from tests.integration.clickhouse.test_clickhouse_episodes import ATTEMPT, finalised
from tests.integration.dashboard.conftest import Unwritten
from tests.integration.served import Served

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.schemas import BaseSchema

pytestmark = pytest.mark.integration

#: What is there, for half of what is asked.
KNOWN = {"run": "known", "agent": "agent-0", "attempt": ATTEMPT, "env": 0, "episode": 3}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class ServedPage(Served):
    """The dashboard over a database, without a live part; a slow machine is no fault of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def _open(self) -> None:
        settings = DashboardSettings.load(Sources({}, {}))
        live = SimpleNamespace(below=lambda _: {})
        self._history = ClickHouseHistory(self._store.settings, Budget(patience=600), seconds=600)
        parts = Parts(
            dataclasses.replace(settings, clickhouse=self._store.settings),
            cast("LiveLog", live),
            self._history,
            Unwritten(),
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(create_app(parts), log_config=None, lifespan="off"))
        self._serving = asyncio.create_task(self._server.serve([self._listener]))

    async def _close(self) -> None:
        self._server.should_exit = True
        await self._serving
        self._listener.close()
        await self._history.close()


@pytest.fixture(scope="module")
def api(store: Store) -> Iterator[BaseSchema]:
    """Yield the API as its own document describes it."""
    store.insert_steps([step_batch("known", 50)])
    more: dict[str, Any] = {"labels": {"group": "g"}, "stop": "", "has_reset": True}
    store.insert(EPISODES, [body("EpisodeFinalized", finalised("known", episode=n) | more) for n in range(5)])
    with ServedPage(store) as page:
        document = f"http://127.0.0.1:{page.port}/api/v1/openapi.json"
        yield schemathesis.openapi.from_url(document).include(tag="history")


def ask(case: Case[Any]) -> None:
    """Ask once as it was made up, and once of what is there."""
    case.call_and_validate(checks=CHECKS)
    for name, value in KNOWN.items():
        if name in case.query:
            case.query[name] = value
    case.call_and_validate(checks=CHECKS)


def ask_everything(api: BaseSchema, examples: int) -> int:
    """Make up so many questions of each path; return how many paths there are."""
    paths = 0
    for found in api.get_all_operations():
        assert isinstance(found, Ok)
        made_up = given(found.ok().as_strategy())
        few = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        few(made_up(ask))()
        paths += 1
    return paths


def test_every_answer_is_as_described(api: BaseSchema) -> None:
    """Of each path a made-up question, and one of what is there."""
    assert ask_everything(api, 1) > 15


@pytest.mark.long
def test_very_many_answers_are_as_described(api: BaseSchema) -> None:
    """Many more."""
    ask_everything(api, 40)
