"""Makes the records of a simulation: good ones, unreadable ones, and ones whose schema a registry learns."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal

from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec, RegistryId, SchemaRef
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import RunEvent
from tests.fuzz.batches import Batches
from tests.support.batches import batch_of_months

Kind = Literal["good", "bad", "learned"]
LEARNED_ID = 7


@dataclass(frozen=True, slots=True)
class ProducedValue:
    """One value, what it is, and the number of rows it makes."""

    value: bytes | None
    kind: Kind
    rows: int


class LearningRegistry:
    """Simulates a registry that knows a schema id only from some moment on."""

    def __init__(self) -> None:
        self.knows = False

    def schema(self, schema_id: int) -> AvroSchema:
        """Return StepBatch, once it is known."""
        if schema_id != LEARNED_ID or not self.knows:
            raise UnknownSchema(f"schema id {schema_id} is not known")
        return schema("StepBatch")


class SimulatedSchemas:
    """Finds schemas of the package, and of the registry, which is asked each time."""

    def __init__(self, registry: LearningRegistry) -> None:
        self._registry = registry
        self._codec = Codec()

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema."""
        return self._registry.schema(ref.id) if isinstance(ref, RegistryId) else self._codec.resolve(ref)


def step_value(rng: random.Random, number: int, share: float, *, learned: bool) -> ProducedValue:
    """Return the value number `number` of a partition of `steps`."""
    count = rng.randint(1, 8)
    body = encode(_batch(number, count, across=rng.random() < 0.3))
    framed = Codec().frame("steps", schema("StepBatch"), body)
    if rng.random() < share:
        return ProducedValue(
            rng.choice((None, b"", b"junk", framed[:-5], framed + b"x", b"\xc3\x01" + b"?" * 8 + body)), "bad", 0
        )
    if learned and rng.random() < 0.3:
        return ProducedValue(b"\x00" + LEARNED_ID.to_bytes(4, "big") + body, "learned", count)
    return ProducedValue(framed, "good", count)


def _batch(number: int, count: int, *, across: bool) -> StepBatch:
    """Return the batch number `number` of a partition; one in eight has columns and layouts of any form.

    It draws nothing from the seed's dice, so that a seed stays what it was.
    """
    plain = batch_of_months(number * 10, count, across=across)
    rich = _rich_batches().get(count, ())
    if number % 8 or not rich:
        return plain
    found = rich[number // 8 % len(rich)]
    header = replace(plain.header, action=found.header.action, observation=found.header.observation)
    return replace(found, header=header, columns=replace(found.columns, ts=plain.columns.ts))


@cache
def _rich_batches() -> Mapping[int, Sequence[StepBatch]]:
    """Return batches of any form, by their number of steps."""
    source, found = Batches(seed=1), defaultdict[int, list[StepBatch]](list)
    for batch in (source.good() for _ in range(100)):
        found[batch.header.count].append(batch)
    return found


def run_value(number: int) -> ProducedValue:
    """Return a value of `runs`, which holds one event a record."""
    return ProducedValue(_run_event(number), "good", 1)


@lru_cache(maxsize=1024)
def _run_event(number: int) -> bytes:
    event = RunEvent(run_id=f"r{number}", agent_id="a", attempt=1, kind="STARTED", sent_at=1, started_at=1)
    return Codec().frame("runs", schema("RunEvent"), event.encode())
