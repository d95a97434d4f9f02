"""The engine takes a value exactly where the decoder does, and stores what the decoder reads. Whatever bytes arrive.

A disagreement is a defect either way: what only the engine takes is a wrong row, what only the decoder takes is a range
that is refused for ever. `make test-long` has five times as many; RUNBUS_TEST_MUTATIONS=20000 is the longest form,
RUNBUS_TEST_SEED another walk.
"""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from runbus.clickhouse.deduplication import insert_settings
from runbus.clickhouse.errors import DataError, StoreError, translated
from runbus.clickhouse.tables import ANNOTATIONS, EPISODES, HEARTBEATS, METRICS, RUNS, STEPS, StoredTopic
from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.events import Annotation, EpisodeFinalized, Event, Heartbeat, RunEvent
from runbus.sink.container import Container
from tests.fuzz.batches import LATER, STEP_BATCH, Batches
from tests.fuzz.events import GOOD, Events
from tests.fuzz.metric_batches import METRIC_BATCH, MetricBatches, metric_rows
from tests.fuzz.metric_batches import METRICS as METRIC_COLUMNS
from tests.fuzz.rows import STEPS as STEP_COLUMNS
from tests.fuzz.rows import Row, event_columns, event_row, step_rows

if TYPE_CHECKING:
    from tests.integration.clickhouse.conftest import Store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

MUTATIONS = int(os.environ.get("RUNBUS_TEST_MUTATIONS", "400"))
SEED = int(os.environ.get("RUNBUS_TEST_SEED", "20261124"))
TOGETHER = 25  # values that the decoder takes; one by one where the engine refuses some of them


@dataclass(frozen=True)
class Engine:
    """One stored topic of a real engine; a value's number is its offset."""

    store: Store
    topic: StoredTopic
    columns: Mapping[str, str]
    writer: AvroSchema
    topic_id: str = field(default_factory=lambda: f"topic-{uuid.uuid4().hex[:8]}")

    def insert(self, values: Mapping[int, bytes]) -> StoreError | None:
        """Insert values as the sink does; return the engine's refusal."""
        client, framed = self.store.client, [(offset, body, 0) for offset, body in values.items()]
        container = bytes(Container(self.writer, self.topic_id, 0, framed))
        try:
            with translated():
                settings = insert_settings(client, uuid.uuid4().hex)
                client.raw_insert(self.topic.landing, insert_block=container, fmt="Avro", settings=settings)
        except StoreError as error:
            return error
        return None

    def refused(self, values: Mapping[int, bytes]) -> dict[int, StoreError]:
        """Insert values together, or where they are refused one by one; return the refusals."""
        if self.insert(values) is None:
            return {}
        alone = {offset: self.insert({offset: body}) for offset, body in values.items()}
        return {offset: error for offset, error in alone.items() if error is not None}

    def rows(self) -> dict[int, list[Row]]:
        """Return what is stored, by offset."""
        expressions = ", ".join(self.columns.values())
        found = self.store.rows(
            f"SELECT kafka_offset, {expressions} FROM {self.topic.table} WHERE kafka_topic_id = {{t:String}} "
            f"ORDER BY kafka_offset{', seq' if self.topic in (STEPS, METRICS) else ''}",
            t=self.topic_id,
        )
        rows: dict[int, list[Row]] = defaultdict(list)
        for offset, *values in found:
            rows[offset].append(dict(zip(self.columns, values, strict=True)))
        return rows


def disagreements(engine: Engine, bodies: Iterable[bytes], meaning: Callable[[bytes], list[Row]]) -> list[str]:
    """Return in which values engine and decoder differ, and how; the bytes come along."""
    meant: dict[int, list[Row]] = {}
    refused: dict[int, str] = {}
    numbered = dict(enumerate(bodies))
    for number, body in numbered.items():
        try:
            meant[number] = meaning(body)
        except InvalidValue as error:
            refused[number] = str(error)
    assert meant
    assert refused
    found: dict[int, str] = {}
    taken = list(meant)
    groups = [{n: numbered[n] for n in taken[i : i + TOGETHER]} for i in range(0, len(taken), TOGETHER)]
    with ThreadPoolExecutor(2) as threads:
        for refusals in threads.map(engine.refused, groups):
            found |= {n: f"only the decoder takes it: {error}" for n, error in refusals.items()}
        for n, refusal in zip(refused, threads.map(lambda n: engine.insert({n: numbered[n]}), refused), strict=True):
            if refusal is None:
                found[n] = f"only the engine takes it: {refused[n]}"
            elif not isinstance(refusal, DataError):
                found[n] = f"the sink would pause for it: {refusal!r}"
    rows = engine.rows()
    found |= {n: f"{rows[n]} is not {meant[n]}" for n in meant if n not in found and rows[n] != meant[n]}
    return [f"{n}: {text} ({numbered[n].hex()})" for n, text in found.items()]


@pytest.mark.parametrize(("times", "seed"), [(1, SEED), pytest.param(5, SEED + 1, marks=pytest.mark.long)])
def test_step_batches_are_taken_or_refused_alike(times: int, seed: int, store: Store) -> None:
    """Lies, damage and other ways to write an array: the same verdict, the same rows, bit for bit."""
    source = Batches(seed)
    bodies = [source.mutated() for _ in range(times * MUTATIONS)]
    assert not disagreements(Engine(store, STEPS, STEP_COLUMNS, STEP_BATCH), bodies, step_rows)


@pytest.mark.parametrize(("times", "seed"), [(1, SEED), pytest.param(5, SEED + 1, marks=pytest.mark.long)])
def test_metric_batches_are_taken_or_refused_alike(times: int, seed: int, store: Store) -> None:
    """Metrics too."""
    source = MetricBatches(seed)
    bodies = [source.mutated() for _ in range(times * MUTATIONS // 2)]
    assert not disagreements(Engine(store, METRICS, METRIC_COLUMNS, METRIC_BATCH), bodies, metric_rows)


def test_batches_of_a_later_release_are_taken_or_refused_alike(store: Store) -> None:
    """Fields that this release does not know are passed over by both, and are no place to hide damage in."""
    source = Batches(SEED)
    bodies = [source.later() for _ in range(MUTATIONS // 4)]
    engine = Engine(store, STEPS, STEP_COLUMNS, LATER)
    assert not disagreements(engine, bodies, lambda body: step_rows(body, LATER))


@pytest.mark.parametrize(
    ("topic", "kind"),
    [(RUNS, RunEvent), (EPISODES, EpisodeFinalized), (HEARTBEATS, Heartbeat), (ANNOTATIONS, Annotation)],
)
def test_events_are_taken_or_refused_alike(store: Store, topic: StoredTopic, kind: type[Event]) -> None:
    """Runs, episodes, heartbeats and annotations too."""
    source = Events(kind, SEED)
    bodies = [source.mutated() for _ in range(MUTATIONS // 2)]
    engine = Engine(store, topic, event_columns(GOOD[kind.SCHEMA]), schema(kind.SCHEMA))
    assert not disagreements(engine, bodies, lambda body: [event_row(kind.decode(body))])
