"""Reads spans of OpenTelemetry's conventions for generative AI: those of today, and those up to 1.36.

Of today: attributes with messages as JSON, on the span or on the event `gen_ai.client.inference.operation.details`. Up
to 1.36: `gen_ai.system`, and an event for each message; still older ones have all of them in two events, or flattened.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runbus.otel.messages import Message, ids_of_calls, instructions_of, is_cut, messages_of, parsed, unflattened
from runbus.otel.reading import Attributes, Event, Kind, Reading, first, numbers, text
from runbus.recorder.absent import ABSENT

_KINDS: Mapping[str, Kind] = {
    "chat": "model",
    "generate_content": "model",
    "text_completion": "model",
    "execute_tool": "tool",
    "embeddings": "tool",
    "retrieval": "tool",
    "invoke_agent": "agent",
}
#: What the name of a span begins with.
OPERATIONS = _KINDS.keys()
DETAILS = "gen_ai.client.inference.operation.details"
_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_USAGE = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
    ),
}


def kind_of(attributes: Attributes) -> Kind:
    """Return what a span is about; "" if its attributes are not of these conventions."""
    operation = text(attributes, "gen_ai.operation.name")
    if operation:
        return _KINDS.get(operation, "tool" if operation.endswith("_memory") else "container")
    if text(attributes, "gen_ai.tool.name"):
        return "tool"
    return "model" if text(attributes, "gen_ai.system", "gen_ai.provider.name") else ""


def agent_of(attributes: Attributes, span_name: str) -> str:
    """Return the name of the agent that a span is about.

    The span's own name has it too (`invoke_agent NAME`), and counts first: an instrumentation puts a general name into
    the attribute when the span begins, and the right one when it ends.
    """
    verb, _, name = span_name.partition(" ")
    return name if verb == "invoke_agent" and name else text(attributes, "gen_ai.agent.name", "agent_name")


def read(attributes: Attributes, events: Sequence[Event], kind: Kind, span_name: str) -> Reading:
    """Return what a span says, but for how it went."""
    for event in events:
        if event.name == DETAILS:
            attributes = {**event.attributes, **attributes}
    found = Reading(kind, text(attributes, "gen_ai.request.model", "gen_ai.response.model"))
    found.agent = text(attributes, "gen_ai.agent.name", "agent_name")
    found.conversation = text(attributes, "gen_ai.conversation.id")
    found.usage = numbers(attributes, _USAGE)
    if kind == "tool":
        return _read_tool(found, attributes, events)
    found.asked, answers = _said(attributes, events)
    found.cut = any(is_cut(attributes.get(name)) for name in ("gen_ai.input.messages", "gen_ai.output.messages"))
    if kind == "agent":
        found.name = agent_of(attributes, span_name)
        final = first(attributes, "final_result")
        found.answer = answers if answers is not ABSENT else final
        return found
    found.answer = answers
    found.id = text(attributes, "gen_ai.response.id")
    found.calls = ids_of_calls(_list(answers))
    reasons = [_reason(event) for event in events] + [first(attributes, "gen_ai.response.finish_reasons")]
    if any(word in {"length", "max_tokens"} for reason in reasons for word in _words(reason)):
        found.status = "length"
    return found


def _read_tool(found: Reading, attributes: Attributes, events: Sequence[Event]) -> Reading:
    found.name = text(attributes, "gen_ai.tool.name", "gen_ai.operation.name") or "tool"
    found.id = text(attributes, "gen_ai.tool.call.id")
    found.asked = parsed(
        first(attributes, "gen_ai.tool.call.arguments", "tool_arguments", "gen_ai.retrieval.query.text")
    )
    names = ("gen_ai.tool.call.result", "tool_response", "gen_ai.retrieval.documents")
    found.answer = parsed(first(attributes, *names))
    if found.answer is ABSENT:
        said = [message["content"] for event in events if event.name == "gen_ai.choice" for message in _choice(event)]
        found.answer = said[0] if said else ABSENT
    return found


def _said(attributes: Attributes, events: Sequence[Event]) -> tuple[Any, Any]:
    """Return the messages that were sent, and the answer: a message, or a list of several; ABSENT if not there."""
    asked = messages_of(attributes.get("gen_ai.input.messages")) or messages_of(attributes.get("gen_ai.prompt"))
    answers = messages_of(attributes.get("gen_ai.output.messages"), "assistant")
    asked = asked or _flat(attributes, "gen_ai.prompt", "user")
    answers = answers or _flat(attributes, "gen_ai.completion", "assistant")
    if not asked and not answers:
        asked, answers = _of_events([*events, *_events_of_attribute(attributes)])
    if asked and asked[0].get("role") != "system":
        asked = [*instructions_of(attributes.get("gen_ai.system_instructions")), *asked]
    return asked or ABSENT, _one(answers)


def _one(answers: list[Message]) -> Any:  # noqa: ANN401
    return ABSENT if not answers else answers[0] if len(answers) == 1 else answers


def _flat(attributes: Attributes, prefix: str, role: str) -> list[Message]:
    return [message for item in unflattened(attributes, prefix) for message in messages_of(item, role)]


def _of_events(events: Iterable[Event]) -> tuple[list[Message], list[Message]]:
    asked: list[Message] = []
    answers: list[Message] = []
    for event in events:
        if event.name in _ROLES:
            asked += messages_of(_body(event), _ROLES[event.name])
        elif event.name == "gen_ai.choice":
            answers += _choice(event)
        elif event.name == "gen_ai.content.prompt":
            asked += messages_of(event.attributes.get("gen_ai.prompt"))
        elif event.name == "gen_ai.content.completion":
            answers += messages_of(event.attributes.get("gen_ai.completion"), "assistant")
    return [message for message in asked if _says(message)], [message for message in answers if _says(message)]


def _says(message: Message) -> bool:
    """Return whether anything is in a message: its event comes also where contents are left out."""
    return message.get("content") is not None or "tool_calls" in message


def _body(event: Event) -> Mapping[str, Any]:
    body = parsed(event.body)
    return body if isinstance(body, Mapping) else event.attributes


def _choice(event: Event) -> list[Message]:
    body = _body(event)
    message = parsed(body.get("message"))
    if isinstance(message, Mapping):
        return messages_of({**body, **message} if "tool_calls" in body else message, "assistant")
    return messages_of({**body, "content": body.get("content", message)}, "assistant")


def _events_of_attribute(attributes: Attributes) -> list[Event]:
    """Return the events that an instrumentation wrote into one attribute."""
    data = parsed(attributes.get("events"))
    items = [item for item in data if isinstance(item, Mapping)] if isinstance(data, list) else []
    return [Event(text(item, "event.name"), item, item) for item in items]


def _reason(event: Event) -> Any:  # noqa: ANN401
    return _body(event).get("finish_reason") if event.name == "gen_ai.choice" else None


def _words(reason: Any) -> Iterable[Any]:  # noqa: ANN401
    return reason if isinstance(reason, list | tuple) else [reason]


def _list(answers: Any) -> list[Message]:  # noqa: ANN401
    return answers if isinstance(answers, list) else [answers] if isinstance(answers, dict) else []
