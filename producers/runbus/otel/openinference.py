"""Reads spans of OpenInference's conventions: `openinference.span.kind`, and messages flattened into attributes.

https://github.com/Arize-ai/openinference/tree/main/spec
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbus.otel.messages import from_openinference, ids_of_calls, messages_of, parsed, unflattened
from runbus.otel.reading import Attributes, Kind, Reading, first, numbers, text
from runbus.recorder.absent import ABSENT

_KINDS: Mapping[str, Kind] = {
    "LLM": "model",
    "TOOL": "tool",
    "RETRIEVER": "tool",
    "RERANKER": "tool",
    "EMBEDDING": "tool",
    "AGENT": "agent",
    "GUARDRAIL": "judge",
    "EVALUATOR": "judge",
}
_USAGE = {
    "input_tokens": ("llm.token_count.prompt",),
    "output_tokens": ("llm.token_count.completion",),
    "cached_tokens": ("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
}


def kind_of(attributes: Attributes) -> Kind:
    """Return what a span is about; "" if its attributes are not of these conventions."""
    kind = text(attributes, "openinference.span.kind")
    return _KINDS.get(kind.upper(), "container") if kind else ""


def agent_of(attributes: Attributes, span_name: str) -> str:
    """Return the name of the agent that a span is about: its attribute, or what smolagents calls the span, NAME.run."""
    return text(attributes, "agent.name") or (span_name[:-4] if span_name.endswith(".run") else "")


def read(attributes: Attributes, kind: Kind, span_name: str) -> Reading:
    """Return what a span says, but for how it went."""
    found = Reading(kind, span_name, text(attributes, "agent.name"), text(attributes, "session.id"))
    found.usage = numbers(attributes, _USAGE)
    cost = attributes.get("llm.cost.total")
    found.cost_usd = float(cost) if isinstance(cost, int | float) else None
    if kind == "model":
        return _read_model(found, attributes)
    found.asked = parsed(first(attributes, "tool_call.function.arguments", "input.value"))
    found.answer = _result(parsed(first(attributes, "output.value")))
    if kind == "agent":
        found.name = agent_of(attributes, span_name)
    elif kind == "tool":
        found.name = text(attributes, "tool.name", "tool_call.function.name") or span_name
        found.id = text(attributes, "tool.id", "tool_call.id")
    return found


def _read_model(found: Reading, attributes: Attributes) -> Reading:
    found.name = text(attributes, "llm.model_name", "embedding.model_name")
    sent = [said for item in unflattened(attributes, "llm.input_messages") for said in from_openinference(item)]
    said = [back for item in unflattened(attributes, "llm.output_messages") for back in from_openinference(item)]
    sent = sent or messages_of(attributes.get("input.value"))
    said = said or messages_of(attributes.get("output.value"), "assistant")
    found.asked = sent or ABSENT
    found.answer = ABSENT if not said else said[0] if len(said) == 1 else said
    found.calls = ids_of_calls(said)
    found.id = _id_in(parsed(attributes.get("output.value")))
    if text(attributes, "llm.finish_reason") in {"length", "max_tokens"}:
        found.status = "length"
    return found


def _id_in(output: Any) -> str:  # noqa: ANN401
    """Return the id of an answer, from the client's own object; LangChain's keeps it one below."""
    if not isinstance(output, Mapping):
        return ""
    below = output.get("llm_output")
    return text(output, "id") or (text(below, "id") if isinstance(below, Mapping) else "")


def _result(value: Any) -> Any:  # noqa: ANN401
    """Return the result of a tool; LangChain's comes inside a message."""
    data = value.get("data") if isinstance(value, dict) and value.get("type") == "tool" else None
    return data["content"] if isinstance(data, dict) and "content" in data else value
