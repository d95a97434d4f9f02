"""Hands what OpenTelemetry's SDK says of spans to the traces, and keeps every error and every wait from the program."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode, TraceFlags

from runbus.kafka.settings import KafkaSettings
from runbus.llm import Agent
from runbus.otel.dialects import kind_of, read
from runbus.otel.episodes import Episodes, Verdict
from runbus.otel.limits import Limits
from runbus.otel.reading import Event, text
from runbus.otel.traces import Traces
from runbus.otel.waiting import Begun
from runbus.recorder.bus import RunBus
from runbus.recorder.complaints import Complaints
from runbus.recorder.outcome import exception_so_far, exit_outcome, outcome_of
from runbus.recorder.process import PROCESS
from runbus.recorder.row_words import Status

log = logging.getLogger(__name__)

P = ParamSpec("P")
_LONGEST_WAIT_S = 1.0
EVALUATION = "gen_ai.evaluation.result"


class RecordSpans(SpanProcessor):
    """Records what agents of language models do, from the spans that their instrumentation makes of it.

    `provider.add_span_processor(RecordSpans(run="trip-1"))`. An agent's span is an episode, a call of a model or a tool
    a step; docs/otel.md has the whole mapping. It reads spans of OpenTelemetry's conventions for generative AI and of
    OpenInference, and leaves all others alone. It never raises and never waits for the broker. Thread safe.

    Args:
        run: name of the run.
        agent: name of the agent whose spans do not say it.
        config, labels, tags: of the run: see Recorder.
        bus, settings, kafka: see Recorder.
        limits: what is kept of traces that are not over.

    Raises:
        ConfigError: a name or a setting is unusable.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        run: str,
        agent: str = "agent-0",
        *,
        config: object = None,
        labels: Mapping[str, object] | None = None,
        tags: Iterable[str] | str | None = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        kafka: bool = True,
        limits: Limits | None = None,
    ) -> None:
        def make(name: str, caller: Agent | None) -> Agent:
            return Agent(
                run,
                name,
                config=config,
                labels=labels,
                tags=tags,
                bus=bus,
                settings=settings,
                kafka=kafka,
                parent=None if caller is None else caller.recorder,
            )

        self.run = run
        #: What log records say of spans: `logger_provider.add_log_record_processor(record_spans.logs)`.
        self.logs = RecordLogs(self)
        self._limits = limits or Limits()
        self._complaints = Complaints(log)
        self._episodes = Episodes(make, agent, self._complaints)
        self._inside = threading.local()
        self._closed = False
        self._known = id(exception_so_far())
        self._begin_process()
        PROCESS.before_end(self._write_all)

    def _begin_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._traces = Traces(self._episodes, self._limits, self._complaints)

    # --- called by the SDK ----------------------------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's contract
        """Note that a span began."""
        self._guarded(self._start, span)

    def on_end(self, span: ReadableSpan) -> None:
        """Record what a span was about, once all that began before it is over."""
        self._guarded(self._end, span)

    def shutdown(self) -> None:
        """Record what waits, and end the streams; spans that are open are given up."""
        if not self._closed:
            self._write_all()
            for agent in self._episodes.agents():
                agent.recorder.close(*exit_outcome(self._known))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait until what was recorded is delivered or dropped; return whether it was within the time."""
        deadline = time.monotonic() + timeout_millis / 1000
        done = [agent.flush(max(deadline - time.monotonic(), 0.0)) for agent in self._episodes.agents()]
        return all(done)

    # --- for whoever asks -------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Return how often each complaint came (`complaints`), and what each recorder says, by agent (`agents`)."""
        agents = {agent.recorder.agent: agent.recorder.stats() for agent in self._episodes.agents()}
        return {"complaints": self._complaints.counts(), "agents": agents}

    def take_log(self, record: Any) -> None:  # noqa: ANN401 - the SDK has no stable type for it
        """Note what a log record says of a span, or record the evaluation that it is."""
        self._guarded(self._take_log, record)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _guarded(self, act: Callable[P, None], *given: P.args, **named: P.kwargs) -> None:
        """Do something so that nothing reaches the program; spans that are made meanwhile by its own doing are none."""
        inside = self._inside
        if getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            if self._pid != os.getpid():  # a forked child: what is open was begun by the parent, and is over there
                self._begin_process()
            act(*given, **named)
        except Exception as error:  # noqa: BLE001 - nothing may reach the program
            self._complain(error)
        finally:
            inside.busy = False

    def _write_all(self) -> None:
        """Write what waits, and take nothing more."""
        self._guarded(self._close_traces)

    def _close_traces(self) -> None:
        with self._locked():
            if not self._closed:
                self._closed = True
                self._traces.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock, which others have for well below a millisecond.

        If not, its holder waits for this thread, through a lock of a handler of logging for example: one span is not
        worth a program that stands.
        """
        if not self._lock.acquire(timeout=_LONGEST_WAIT_S):
            raise TimeoutError(f"the lock was held for {_LONGEST_WAIT_S:g} s")
        try:
            yield
        finally:
            self._lock.release()

    def _complain(self, error: Exception) -> None:
        try:
            kind = type(error).__name__
            self._complaints.say("failed", "a span is not recorded: %s", kind)
            log.debug("a span is not recorded", exc_info=error)
        except Exception:  # noqa: BLE001, S110 - a handler of logging may raise; it is the last line here
            pass

    def _start(self, span: Span) -> None:
        begun = _begun(span) if not self._closed else None
        if begun is not None:
            with self._locked():
                self._traces.begin(begun, time.monotonic())

    def _end(self, span: ReadableSpan) -> None:
        begun = _begun(span)
        if begun is None:
            if kind_of(dict(span.attributes or {})):
                self._complaints.say("not sampled", "spans that are not sampled are not recorded", level=logging.DEBUG)
            return
        with self._locked():
            said, kind, before = self._traces.known_of(begun.id, begun.trace)
        of_span = [Event(event.name, dict(event.attributes or {})) for event in span.events]
        failed = span.status.status_code is StatusCode.ERROR
        reading = read(begun.attributes, [*of_span, *said], begun.name, failed, span.status.description or "", kind)
        error = sys.exc_info()[1]
        if error is not None and reading.status == "ok" and id(error) != before:
            reading.status, reading.error = _cancelled(error)
        with self._locked():
            if not self._closed:
                end = span.end_time or time.time_ns()
                self._traces.end(begun, end, reading, span.dropped_attributes, time.monotonic())
            elif reading.kind:
                self._complaints.say("closed", "spans that end after shutdown are not recorded")
        for event in of_span:
            if event.name == EVALUATION:
                self._judge(begun.id, begun.trace, event.attributes)

    def _take_log(self, record: Any) -> None:  # noqa: ANN401
        record = getattr(record, "log_record", record)
        attributes = dict(record.attributes or {})
        name = str(getattr(record, "event_name", None) or attributes.get("event.name") or "")
        if not name.startswith("gen_ai."):
            return
        if name == EVALUATION:
            self._judge(record.span_id or 0, record.trace_id or 0, attributes)
            return
        if record.span_id and not int(getattr(record, "trace_flags", None) or 0) & TraceFlags.SAMPLED:
            return
        with self._locked():
            if not self._traces.said(record.span_id or 0, record.trace_id or 0, Event(name, attributes, record.body)):
                text = "an event %s came when its span was over, or unknown: its content is not recorded"
                self._complaints.say("late events", text, name, level=logging.WARNING)

    def _judge(self, span: int, trace: int, attributes: Mapping[str, Any]) -> None:
        value = attributes.get("gen_ai.evaluation.score.value")
        verdict = Verdict(
            float(value) if isinstance(value, int | float) else None,
            text(attributes, "gen_ai.evaluation.name") or "evaluation",
            text(attributes, "gen_ai.evaluation.score.label"),
            text(attributes, "gen_ai.evaluation.explanation", "error.type"),
        )
        with self._locked():
            self._traces.judge(span, trace, text(attributes, "gen_ai.response.id"), verdict)


class RecordLogs:
    """The processor of log records that belongs to a RecordSpans.

    Instrumentations write contents as events of spans, or as log records; evaluations are log records.
    """

    def __init__(self, spans: RecordSpans) -> None:
        self._spans = weakref.ref(spans)

    def on_emit(self, log_record: Any) -> None:  # noqa: ANN401 - the SDK has no stable type for it
        """Note what a log record says of a span."""
        spans = self._spans()
        if spans is not None:
            spans.take_log(log_record)

    def emit(self, log_data: Any) -> None:  # noqa: ANN401
        """Do the same, for SDKs before 1.35."""
        self.on_emit(log_data)

    def shutdown(self) -> None:
        """Do nothing: the spans' own processor ends the streams."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's contract
        """Return True: nothing waits here."""
        return True


def _begun(span: ReadableSpan) -> Begun | None:
    """Return what is known of a span from its begin on; None if it is not sampled."""
    context = span.get_span_context()
    if context is None or not context.trace_flags.sampled:
        return None
    scope = span.instrumentation_scope
    return Begun(
        context.span_id,
        context.trace_id,
        None if span.parent is None else span.parent.span_id,
        span.start_time or time.time_ns(),
        scope.name if scope is not None else "",
        span.name,
        dict(span.attributes or {}),
        0 if (error := sys.exc_info()[1]) is None else id(error),
    )


def _cancelled(error: BaseException) -> tuple[Status, str]:
    """Return how a span went that ends while an exception goes through it, if that is a cancellation.

    OpenTelemetry's `with` notes an Exception only, and a task that is cancelled raises none.
    """
    outcome, text = outcome_of(error)
    return ("cancelled", text) if outcome == "interrupted" else ("ok", "")
