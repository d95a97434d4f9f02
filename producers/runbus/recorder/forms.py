"""Says of each topic that takes batches how one is encoded, cut, and made smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from runbus.kafka.topics import STEPS, Topic
from runbus.recorder import left_out
from runbus.schemas import batch as steps
from runbus.schemas.avsc import AvroSchema


class Header(Protocol):
    """What every batch says of itself."""

    @property
    def first_seq(self) -> int:
        """Seq of its first row."""

    @property
    def count(self) -> int:
        """Number of its rows."""

    @property
    def dropped(self) -> int:
        """Rows of its stream that were dropped when it was made."""


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
        encode, decode: to and from the Avro body.
        parts_of: batch -> parts that can be left out, those of most bytes first.
        without: a batch of one row, without one of its parts.
    """

    topic: Topic
    row: str
    rows: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, AvroSchema | None], Any]
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


STEPS_FORM = BatchForm(STEPS, "step", "steps", steps.encode, steps.decode, left_out.parts_of, left_out.without)
FORMS: dict[str, BatchForm] = {form.topic.name: form for form in (STEPS_FORM,)}
