"""What the API says of health, and what the live audit counts, asked of the real engine."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from runbus.clickhouse.tables import DEAD_LETTERS, HEARTBEATS
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.clickhouse import ClickHouseHistory
from runbus.dashboard.history.statements import text
from runbus.dashboard.identity.balance import Said, StreamBalance
from runbus.dashboard.identity.watch import question
from runbus.kafka.model import StreamId
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.schemas.events import Heartbeat
from tests.integration.clickhouse.conftest import Store, step_batch
from tests.integration.dashboard.conftest import Page, columns

pytestmark = pytest.mark.integration
ATTEMPT = 1_790_000_000_000_000
S = 1_000_000


def letter(offset: int, error: str, **fields: object) -> bytes:
    """Return a dead letter of the sink about the topic t.steps."""
    row = {"key": f"t.steps-3-{offset}", "topic": "t.steps", "topic_id": "id", "partition": 3, "offset": offset}
    more = {"component": "sink", "run_id": "it's", "agent_id": "a", "value": b"\xff\x00", "error": error}
    return DeadLetterRow(**(row | more | {"failed_at": offset * S} | fields)).encode()  # type: ignore[arg-type]


def heartbeat(sent_at: int, inserts: int, took: float, started_at: int = 1) -> bytes:
    """Return a heartbeat of a sink that was sent at this second."""
    detail = json.dumps({"inserts": inserts, "insert_seconds": took})
    return Heartbeat(
        component_id="sink-1",
        kind="sink",
        sent_at=sent_at * S,
        started_at=started_at,
        version="1",
        lag_ms=1500,
        detail=detail,
    ).encode()


def test_dead_letters_are_counted_by_kind_with_the_newest_as_a_sample(store: Store, page: Page) -> None:
    """Errors that differ in their numbers only are one kind; a letter that was written twice counts once."""
    letters = [letter(1, "column 7 lies"), letter(2, "column 8 lies"), letter(2, "column 8 lies")]
    other = letter(9, "no schema", component="episodes")
    store.insert(DEAD_LETTERS, [*letters, other])
    found = page.get("/health/dead_letters")
    assert columns(found, "topic", "component", "kind", "records", "error", "offset", "run", "bytes") == [
        ("t.steps", "episodes", "no schema", 1, "no schema", 9, "it's", 2),
        ("t.steps", "sink", "column # lies", 2, "column 8 lies", 2, "it's", 2),
    ]
    assert page.get("/health/dead_letters", most=1)["rows"] == 1


def test_inserts_are_what_the_sink_counted_in_each_minute(store: Store, page: Page) -> None:
    """A process that starts again counts from 0 again, and is not negative."""
    at = int(time.time()) // 60 * 60 - 120
    first = [heartbeat(at + 1, 10, 1.0), heartbeat(at + 2, 14, 3.0), heartbeat(at + 61, 16, 4.0)]
    store.insert(HEARTBEATS, [*first, heartbeat(at + 62, 1, 9.0, 2), heartbeat(at + 63, 3, 9.5, 2)])
    rows = columns(page.get("/health/inserts"), "inserts", "seconds", "mean", "lag_ms")
    assert rows == [(4, 2.0, 0.5, 1500), (4, 1.5, 0.375, 1500)]


def test_parts_are_those_of_the_database(store: Store, page: Page) -> None:
    """Of each table that has rows."""
    store.insert_steps([step_batch("parts-of-steps", 20)])
    found = dict(columns(page.get("/health/parts"), "table", "rows"))
    assert found["steps"] >= 20


def test_nothing_was_lost(page: Page) -> None:
    """The columns are there all the same."""
    found = page.get("/health/lost")
    assert (found["rows"], "first_offset" in found["columns"]) == (0, True)


def test_each_stream_is_counted_in_its_own_range(store: Store, page: Page) -> None:
    """Rows and different steps, whatever the names are; a stream without rows has none."""
    run, agent = f"it's \\ {uuid.uuid4().hex}", "a'); DROP TABLE steps; --"
    store.insert_steps([step_batch(run, 20) | {"agent_id": agent}])
    store.insert_steps([step_batch(run, 5, 10) | {"agent_id": agent}], first_offset=7)
    store.insert_steps([step_batch(run, 20) | {"agent_id": "other"}], first_offset=8)
    streams = (StreamId(run, agent, ATTEMPT), StreamId(run, agent, ATTEMPT + 1), StreamId(run, "other", ATTEMPT))
    balances = [StreamBalance(stream) for stream in streams]
    for balance, produced in zip(balances, (18, 18, 30), strict=True):
        balance.begin(Said(1, produced, produced, 0), {})
    assert asked(page, store, question(balances), "n", "stored", "steps") == [(1, 23, 18), (2, 0, 0), (3, 20, 20)]


def test_letters_of_an_agent_are_read_once(store: Store, page: Page) -> None:
    """By their bytes, as they were; those that are known are not sent again."""
    agent = uuid.uuid4().hex
    store.insert(DEAD_LETTERS, [letter(100, "x", agent_id=agent), letter(101, "x", agent_id=agent, value=None)])
    wanted = {"topic": "t.steps", "runs": ["it's"], "agents": [agent], "most": 10}
    for known, expected in (([], [("t.steps-3-100", "FF00")]), (["t.steps-3-100"], [])):
        found = Question("identity_letters", text("identity_letters"), {**wanted, "known": known})
        assert asked(page, store, found, "key", "head") == expected


def asked(page: Page, store: Store, about: Question, *names: str) -> list[tuple[object, ...]]:
    """Return the rows of an answer."""

    async def answer() -> list[tuple[object, ...]]:
        history = ClickHouseHistory(store.settings)
        try:
            table = await history.table(about, "test")
            return list(zip(*(table.columns[name].plain() for name in names), strict=True))
        finally:
            await history.close()

    return page.runner.run(answer())
