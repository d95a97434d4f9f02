"""A migrated database on the real engine, and records as the sink sends them: wrapped in an Avro container."""

import dataclasses
import io
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import fastavro
import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.clickhouse.deduplication import insert_settings
from runbus.clickhouse.errors import translated
from runbus.clickhouse.migrate import migrate
from runbus.clickhouse.tables import END_FIELD, POSITION_FIELDS, STEPS, StoredTopic, record_end
from runbus.config.clickhouse import ClickHouseSettings
from runbus.schemas.avsc import schema

TOPIC_ID = "topic-1"
_SYNC = b"runbus-test-sync"

Batch = Callable[..., dict[str, Any]]


def _long(value: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    return out.getvalue()


def _string(value: str) -> bytes:
    return _long(len(value.encode())) + value.encode()


def container(record: str, bodies: Iterable[bytes], first_offset: int = 0) -> bytes:
    """Return Avro bodies as an object container of wrapper records, one a block, at consecutive offsets."""
    position, (end,) = (
        [{"name": name, "type": kind} for name, kind in around] for around in (POSITION_FIELDS, [END_FIELD])
    )
    fields = [*position, *schema(record).fields, end]
    text = json.dumps({"type": "record", "name": "Wrapper", "fields": fields})
    parts = [b"Obj\x01", _long(1), _string("avro.schema"), _string(text), _long(0), _SYNC]
    for offset, body in enumerate(bodies, first_offset):
        value = _string(TOPIC_ID) + _long(0) + _long(offset) + body + _string(record_end(offset))
        parts += [_long(1), _long(len(value)), value, _SYNC]
    return b"".join(parts)


def body(record: str, values: Mapping[str, Any]) -> bytes:
    """Return the Avro body of a record; nothing checks that its columns agree."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema(record).parsed, dict(values))
    return out.getvalue()


@dataclasses.dataclass(frozen=True)
class Store:
    """A migrated database."""

    settings: ClickHouseSettings
    client: Client

    def insert(self, topic: StoredTopic, bodies: Iterable[bytes], *, token: str = "", first_offset: int = 0) -> None:
        """Insert bodies as the sink does."""
        data = container(topic.schema, bodies, first_offset)
        with translated():
            self.client.raw_insert(
                topic.landing,
                insert_block=data,
                fmt="Avro",
                settings=insert_settings(self.client, token or uuid.uuid4().hex),
            )

    def insert_steps(self, batches: Iterable[Mapping[str, Any]], *, token: str = "", first_offset: int = 0) -> None:
        """Insert StepBatch records given as dicts."""
        bodies = [body("StepBatch", b) for b in batches]
        self.insert(STEPS, bodies, token=token, first_offset=first_offset)

    def rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self.client.query(sql, parameters=parameters or None).result_rows]

    def one(self, sql: str, **parameters: object) -> object:
        """Return the only value of a query."""
        ((value,),) = self.rows(sql, **parameters)
        return value


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouseSettings) -> Iterator[Store]:
    """Yield a migrated database that the tests of one module share; each test takes its own run_id."""
    settings = dataclasses.replace(clickhouse, database=f"t{uuid.uuid4().hex[:10]}")
    migrate(settings)
    client = connect(settings)
    yield Store(settings, client)
    client.command(f"DROP DATABASE {settings.database} SYNC")
    client.close()


@pytest.fixture
def run_id() -> str:
    """Return a run that no other test has."""
    return f"run-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def batch(run_id: str) -> Batch:
    """Return a maker of StepBatch records: `count` steps from `first_seq`, any field replaced by name."""

    def make(count: int = 3, first_seq: int = 0, **fields: object) -> dict[str, Any]:
        return step_batch(run_id, count, first_seq) | fields

    return make


def step_batch(run_id: str, count: int, first_seq: int = 0) -> dict[str, Any]:
    """Return a StepBatch of float32[2] observations and int64 actions, in episodes of a reset and 9 steps."""
    seq = np.arange(first_seq, first_seq + count)
    step = (seq % 10).astype("<i4")
    return {
        "run_id": run_id,
        "agent_id": "agent-0",
        "attempt": 1_790_000_000_000_000,
        "first_seq": first_seq,
        "count": count,
        "dropped": 0,
        "sent_at": 1_790_000_001_000_000,
        "action_dtype": "<i8",
        "action_shape": [],
        "action_width": 8,
        "observation_dtype": "<f4",
        "observation_shape": [2],
        "observation_width": 8,
        "env": np.zeros(count, "<i4").tobytes(),
        "episode": (seq // 10).astype("<i8").tobytes(),
        "step": step.tobytes(),
        "tick": b"",
        "ts": (1_790_000_000_000_000 + seq * 1_000).astype("<i8").tobytes(),
        "reward": np.where(step > 0, 1.0, 0.0).astype("<f8").tobytes(),
        "terminated": (step == 9).astype("u1").tobytes(),
        "truncated": bytes(count),
        "extras": [],
        "info": [],
        "seed": b"",
        "action": np.where(step > 0, seq, 0).astype("<i8").tobytes(),
        "observation": np.stack([seq, -seq], axis=1).astype("<f4").tobytes(),
        **dict.fromkeys(("absent", "kind", "status", "parent"), b""),
        **{name: [] for name in ("large_seeds", "labels", "stop")},
    }


@pytest.fixture
def sink_body(run_id: str) -> bytes:
    """Return the body of one insert: two records of 10 steps."""
    return container("StepBatch", [body("StepBatch", step_batch(run_id, 10, n)) for n in (0, 10)])
