"""A program whose spans are recorded, without Kafka: OpenTelemetry's real SDK, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from runbus.otel import Limits, RecordSpans
from runbus.recorder import RunBus
from runbus.recorder.metric_rows import MetricsRecorded
from runbus.schemas.metric_batch import MetricBatch
from tests.support.recorded_rows import RecordedRow, RowWords, batches_of, labels_of, rows_of, words_of

_MS = 1_000_000
#: when the clock of a test stands at 0, in nanoseconds
_ZERO = 1_800_000_000 * 1_000_000_000


class Spoken(NamedTuple):
    """A row, and what is said about it."""

    row: RecordedRow
    words: RowWords
    labels: dict[str, str]


class Traced:
    """A tracer provider with a RecordSpans on it, whose clock is the test's: milliseconds.

    Args:
        sampler, span_limits: of the SDK.
        limits: of RecordSpans.
    """

    def __init__(
        self, *, sampler: Sampler | None = None, span_limits: SpanLimits | None = None, limits: Limits | None = None
    ) -> None:
        self.bus = RunBus()
        self._subscription = self.bus.subscribe("test", max_events=10_000_000)
        self.spans = RecordSpans("run-1", bus=self.bus, kafka=False, limits=limits)
        self.provider = TracerProvider(sampler=sampler, span_limits=span_limits, shutdown_on_exit=False)
        self.provider.add_span_processor(self.spans)
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(self.spans.logs)  # type: ignore[arg-type]
        self._events: list[Any] = []

    def begin(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        under: Span | None = None,
        at: float = 0,
        scope: str = "framework",
    ) -> Span:
        """Return a span that begins."""
        context = None if under is None else set_span_in_context(under)
        tracer = self.provider.get_tracer(scope)
        return tracer.start_span(name, context, attributes=dict(attributes or {}), start_time=_ZERO + int(at * _MS))

    def end(self, span: Span, attributes: Mapping[str, Any] | None = None, *, at: float = 0, error: str = "") -> None:
        """End a span, with what is known of it only now."""
        span.set_attributes(dict(attributes or {}))
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(_ZERO + int(at * _MS))

    def call(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        under: Span | None = None,
        at: tuple[float, float],
        scope: str = "framework",
    ) -> Span:
        """Return a span that began and ended."""
        span = self.begin(name, attributes, under=under, at=at[0], scope=scope)
        self.end(span, at=at[1])
        return span

    def rows(self) -> dict[str, list[Spoken]]:
        """End everything; return what was recorded, by agent."""
        self.provider.shutdown()
        found: dict[str, list[Spoken]] = {}
        for batch in batches_of(self.events()):
            rows = zip(rows_of(batch), words_of(batch), labels_of(batch), strict=True)
            found.setdefault(batch.header.agent_id, []).extend(Spoken(*both) for both in rows)
        return found

    def scores(self) -> list[MetricBatch]:
        """End everything; return the scores that were recorded."""
        self.provider.shutdown()
        return [event.batch() for event in self.events() if isinstance(event, MetricsRecorded)]

    def complaints(self) -> dict[str, int]:
        """Return what was said to be wrong, and how often."""
        counts: dict[str, int] = self.spans.stats()["complaints"]
        return counts

    def events(self) -> list[Any]:
        """Return what was published on the bus so far."""
        self._events += self._subscription.get_many(10_000_000)
        return self._events


def story(rows: list[Spoken]) -> list[tuple[str, str, Any, Any]]:
    """Return kind, status, action and observation of each row."""
    return [(spoken.words.kind, spoken.words.status, spoken.row.action, spoken.row.observation) for spoken in rows]
