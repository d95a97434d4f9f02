"""Lists the records that hold several rows: batches of steps, and of metrics. Their headers have the same fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runbus.schemas import batch as steps
from runbus.schemas import metric_batch as metrics
from runbus.schemas.avsc import AvroSchema


class Header(Protocol):
    """What a batch says of itself before its columns."""

    @property
    def run_id(self) -> str:
        """Name of the run."""

    @property
    def agent_id(self) -> str:
        """Who made its rows: an agent, or a source of metrics."""

    @property
    def attempt(self) -> int:
        """Start of the recorder instance, microseconds since the epoch."""

    @property
    def first_seq(self) -> int:
        """Seq of its first row."""

    @property
    def count(self) -> int:
        """Number of its rows."""

    @property
    def next_seq(self) -> int:
        """The seq that follows its last row."""

    @property
    def dropped(self) -> int:
        """Rows of its stream that were given up when it was made."""


@dataclass(frozen=True, slots=True)
class BatchSchema:
    """How one kind of batch is read and written. Each function raises InvalidValue for a batch that is none.

    Attributes:
        decode: (Avro body, writer schema) -> batch, with `header` and `slice`.
        decode_header: the same -> its header; the columns are neither read nor checked.
        encode: batch -> Avro body of this package's schema.
    """

    decode: Callable[[bytes, AvroSchema | None], Any]
    decode_header: Callable[[bytes, AvroSchema | None], Header]
    encode: Callable[[Any], bytes]


#: by record name
BATCHES: Mapping[str, BatchSchema] = {
    "StepBatch": BatchSchema(steps.decode, steps.decode_header, steps.encode),
    "MetricBatch": BatchSchema(metrics.decode, metrics.decode_header, metrics.encode),
}
