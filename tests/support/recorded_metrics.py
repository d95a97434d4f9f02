"""What was recorded as metrics, without Kafka: the values on the bus, once through the wire format."""

from __future__ import annotations

from runbus.recorder import Metrics, RunBus
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas.metric_batch import NO_POSITION, MetricBatch, decode, encode

#: name, axis, position (None = none), number or text
Value = tuple[str, str, int | None, float | str]


class Recorded:
    """A bus, and what was said on it."""

    def __init__(self) -> None:
        self.bus = RunBus()
        self._subscription = self.bus.subscribe("test")

    def metrics(self, run: str = "run-1") -> Metrics:
        """Return metrics that are published there."""
        return Metrics(run, bus=self.bus, kafka=False)

    def batches(self) -> list[MetricBatch]:
        """Return the batches that came."""
        events = self._subscription.get_many(10_000)
        return [decode(encode(event.batch())) for event in events if isinstance(event, MetricsRecorded)]

    def values(self) -> list[Value]:
        """Return every value that came, in order."""
        return [value for batch in self.batches() for value in values_of(batch)]


def values_of(batch: MetricBatch) -> list[Value]:
    """Return the values of a batch, in order."""
    c, count = batch.columns, batch.header.count
    at = [NO_POSITION] * count if c.at is None else c.at.tolist()
    absent = [0] * count if c.absent is None else c.absent.tolist()
    texts = batch.text or ("",) * count
    rows = zip(c.name.tolist(), at, c.value.tolist(), absent, texts, strict=True)
    return [
        (batch.names[name], batch.axes[name], None if where == NO_POSITION else where, text if gone else number)
        for name, where, number, gone, text in rows
    ]
