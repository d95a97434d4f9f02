"""Lists the tables of each stored topic."""

from __future__ import annotations

from runbus.clickhouse.tables import STORED_TOPICS
from runbus.schemas.batches import BATCHES
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.schemas.events import Annotation
from runbus.sink.api import Route

ROUTES: tuple[Route, ...] = tuple(
    Route(
        stored.topic,
        stored.schema,
        stored.landing,
        stored.table,
        batched=stored.schema in BATCHES,
        wrapped=stored.schema == DeadLetterRow.SCHEMA,
        removable=stored.schema == Annotation.SCHEMA,
    )
    for stored in STORED_TOPICS
)
