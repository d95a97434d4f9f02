"""Which topic goes to which tables: all of them by the same mechanism."""

from __future__ import annotations

from runbus.clickhouse.tables import STORED_TOPICS
from runbus.schemas.batch import StepBatch
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.sink.api import Route

ROUTES: tuple[Route, ...] = tuple(
    Route(
        *(t.topic, t.schema, t.landing, t.table),
        batched=t.schema == StepBatch.__name__,
        wrapped=t.schema == DeadLetterRow.SCHEMA,
    )
    for t in STORED_TOPICS
)
