"""Says of each topic that takes batches how one is encoded, cut, and made smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from runbus.kafka.topics import METRICS, STEPS, Topic
from runbus.recorder import left_out
from runbus.schemas.batches import BATCHES, BatchSchema, Header
from runbus.schemas.metric_batch import MetricBatch


class Batch(Protocol):
    """Consecutive rows of one stream, as columns; a dataclass."""

    @property
    def header(self) -> Header:
        """What it says of itself."""

    def slice(self, start: int, stop: int) -> Self:
        """Return the rows [start, stop) as a batch of their own."""


@dataclass(frozen=True, slots=True)
class BatchForm:
    """How the batches of one topic are written.

    Attributes:
        row, rows: what one of its rows is called, and several.
        coding: to and from the Avro body.
        parts_of: batch -> parts that can be left out, those of most bytes first.
        without: a batch of one row, without one of its parts.
    """

    topic: Topic
    row: str
    rows: str
    coding: BatchSchema
    parts_of: Callable[[Any], list[str]]
    without: Callable[[Any, str], Any]

    @property
    def schema(self) -> str:
        """Name of the schema of its batches."""
        assert self.topic.schema is not None, "a topic of batches has a schema"
        return self.topic.schema


def with_more_dropped(batch: Any, lost: int) -> Any:  # noqa: ANN401 - a Batch, of the form's own type
    """Return a batch whose header says that `lost` more rows were dropped."""
    header = batch.header
    return replace(batch, header=replace(header, dropped=header.dropped + lost))


def _texts_of(batch: MetricBatch) -> list[str]:
    """Return the texts of a metric that can be left out, the longest first."""
    sizes = {part: sum(map(len, getattr(batch, part))) for part in ("text", "label")}
    return sorted((part for part in sizes if sizes[part]), key=lambda part: -sizes[part])


def _without_text(batch: MetricBatch, part: str) -> MetricBatch:
    nothing: dict[str, Any] = {part: ()}
    return replace(batch, **nothing)


STEPS_FORM = BatchForm(STEPS, "step", "steps", BATCHES["StepBatch"], left_out.parts_of, left_out.without)
METRICS_FORM = BatchForm(METRICS, "value", "values", BATCHES["MetricBatch"], _texts_of, _without_text)
#: by name of the topic
FORMS: dict[str, BatchForm] = {form.topic.name: form for form in (STEPS_FORM, METRICS_FORM)}
