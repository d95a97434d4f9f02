"""Measures what `runbus.otel` adds to a span.

Method: one process makes spans, the variants in turn (A B C A B C ...), `--rounds` times, `--spans` of each kind: with
a provider that has no processor (`none`), with OpenTelemetry's BatchSpanProcessor and an exporter that throws
everything away (`batch`), with RecordSpans, whose bus has no reader (`record`). Kinds: `other`, a span that is not
about agents; `tool`, a call of a tool with 200 characters; `chat`, the last turn of a talk with 2 messages of 500
characters; `long chat`, with 40. All but `other` are inside an agent's span, 20 to an agent. Printed are microseconds
of CPU a span, of the thread that makes them: medians over the rounds, and the median over the rounds of what `record`
adds to `none`.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import set_span_in_context

from runbus.otel import RecordSpans
from runbus.recorder import RunBus

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
#: spans of an agent
CALLS = 20


class Nowhere(SpanExporter):
    """Throws spans away."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        """Do so."""
        return SpanExportResult.SUCCESS


def talk(messages: int) -> dict[str, Any]:
    """Return what a chat's span says at its end."""
    said = [{"role": "user", "parts": [{"type": "text", "content": f"{n} ".ljust(500, "x")}]} for n in range(messages)]
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.input.messages": json.dumps(said),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": "y" * 500}]}]
        ),
        "gen_ai.usage.input_tokens": 100 * messages,
        "gen_ai.usage.output_tokens": 100,
    }


KINDS: dict[str, dict[str, Any]] = {
    "other": {"http.request.method": "GET", "url.path": "/"},
    "tool": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.arguments": json.dumps({"query": "x" * 200}),
        "gen_ai.tool.call.result": "y" * 200,
    },
    "chat": talk(2),
    "long chat": talk(40),
}


def none() -> list[SpanProcessor]:
    """Return no processor."""
    return []


def batch() -> list[SpanProcessor]:
    """Return the usual one."""
    return [BatchSpanProcessor(Nowhere())]


def record() -> list[SpanProcessor]:
    """Return ours."""
    return [RecordSpans("bench-otel", bus=RunBus(), kafka=False)]


VARIANTS: tuple[Callable[[], list[SpanProcessor]], ...] = (none, batch, record)


def cost(processors: list[SpanProcessor], kind: str, spans: int) -> float:
    """Return microseconds of this thread's CPU a span, with the agents' own spans in it."""
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    tracer, attributes = provider.get_tracer("bench"), KINDS[kind]
    begun = {name: value for name, value in attributes.items() if name == "gen_ai.operation.name"}
    begin = time.thread_time()
    for _ in range(spans // CALLS):
        agent = tracer.start_span("invoke_agent planner", attributes=AGENT) if begun else None
        context = set_span_in_context(agent) if agent is not None else None
        for _ in range(CALLS):
            span = tracer.start_span("call", context, attributes=begun)
            span.set_attributes(attributes)
            span.end()
        if agent is not None:
            agent.end()
    took = time.thread_time() - begin
    provider.shutdown()
    return took / spans * 1e6


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=4000, help="of each kind and variant in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    costs: dict[tuple[str, str], list[float]] = {}
    for _ in range(arguments.rounds):
        for kind in KINDS:
            for variant in VARIANTS:
                costs.setdefault((kind, variant.__name__), []).append(cost(variant(), kind, arguments.spans))
    result: dict[str, float] = {}
    for kind in KINDS:
        for variant in VARIANTS:
            result[f"{kind}.{variant.__name__}.us"] = statistics.median(costs[kind, variant.__name__])
        added = [a - b for a, b in zip(costs[kind, "record"], costs[kind, "none"], strict=True)]
        result[f"{kind}.added.us"] = statistics.median(added)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:24s} {value:10,.1f}")


if __name__ == "__main__":
    main()
