"""Asks ClickHouse what the page should show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.local.apps import sources
from runbus.local.stack import Endpoints


def rows(endpoints: Endpoints, sql: str, **parameters: object) -> Sequence[Sequence[Any]]:
    """Return the rows of an answer."""
    with closing(connect(ClickHouseSettings.load(sources(endpoints)))) as client:
        return client.query(sql, parameters=parameters).result_rows


def address(path: str, parameters: Mapping[str, object]) -> str:
    """Return an address of the page."""
    return f"{path}?{urlencode({name: str(value) for name, value in parameters.items()})}"


def episode_address(endpoints: Endpoints, run: str, **more: object) -> str:
    """Return the address of a run's first episode."""
    agent, attempt = rows(
        endpoints,
        "SELECT agent_id, max(attempt) FROM stream_summary WHERE run_id = {run:String} "
        "GROUP BY agent_id ORDER BY agent_id LIMIT 1",
        run=run,
    )[0]
    return address("/episode", {"run": run, "agent": agent, "attempt": attempt, "env": 0, "episode": 0, **more})
