"""Attributes of spans as instrumentations write them, in three dialects, for one and the same story."""

from __future__ import annotations

import json
from typing import Any

Attributes = dict[str, Any]
Message = dict[str, Any]

SYSTEM: Message = {"role": "system", "content": "Be short."}
ASKED: Message = {"role": "user", "content": "Weather in Oslo and Rome?"}
CALLS = [{"id": f"call-{city}", "name": "weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")]
CALLING: Message = {"role": "assistant", "tool_calls": CALLS}
RESULTS: list[Message] = [
    {"role": "tool", "content": f"rain in {city}", "tool_call_id": f"call-{city}"} for city in ("Oslo", "Rome")
]
ANSWER: Message = {"role": "assistant", "content": "Rain."}


def current_message(message: Message) -> Message:
    """Return a message as today's conventions have it."""
    if message["role"] == "tool":
        part = {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
        return {"role": "tool", "parts": [part]}
    parts: list[Message] = [{"type": "text", "content": message["content"]}] if "content" in message else []
    parts += [{"type": "tool_call", **call} for call in message.get("tool_calls", [])]
    return {"role": message["role"], "parts": parts}


class Current:
    """OpenTelemetry's conventions of today."""

    name = "current"

    def agent(self, name: str) -> Attributes:
        """Return what an agent's span says when it begins."""
        return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}

    def model(self, asked: list[Message], answer: Message, **more: Any) -> Attributes:
        """Return what a model's span says when it ends."""
        said = {**current_message(answer), "finish_reason": "stop"}
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "fake",
            "gen_ai.input.messages": json.dumps([current_message(message) for message in asked]),
            "gen_ai.output.messages": json.dumps([said]),
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 5,
            **more,
        }

    def tool(self, call: Message, result: Any, **more: Any) -> Attributes:
        """Return what a tool's span says when it ends."""
        return {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call["name"],
            "gen_ai.tool.call.id": call["id"],
            "gen_ai.tool.call.arguments": json.dumps(call["arguments"]),
            "gen_ai.tool.call.result": result,
            **more,
        }


class Flattened:
    """OpenTelemetry's conventions up to 1.36, with the messages in one attribute as events."""

    name = "up to 1.36"

    def agent(self, name: str) -> Attributes:
        """Return what an agent's span says when it begins."""
        return {"gen_ai.operation.name": "invoke_agent", "gen_ai.system": "openai", "gen_ai.agent.name": name}

    def model(self, asked: list[Message], answer: Message, **more: Any) -> Attributes:
        """Return what a model's span says when it ends."""
        events = [{"event.name": f"gen_ai.{message['role']}.message", **old_message(message)} for message in asked]
        choice = {"event.name": "gen_ai.choice", "index": 0, "finish_reason": "stop", "message": old_message(answer)}
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "fake",
            "events": json.dumps([*events, choice]),
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 5,
            **more,
        }

    def tool(self, call: Message, result: Any, **more: Any) -> Attributes:
        """Return what a tool's span says when it ends."""
        return {**Current().tool(call, result), "gen_ai.system": "openai", **more}


def old_message(message: Message) -> Message:
    """Return a message as the conventions up to 1.36 have it: as OpenAI's client sends it."""
    found = {"role": message["role"]}
    if "content" in message:
        found["content"] = message["content"]
    if message["role"] == "tool":
        found["id"] = message["tool_call_id"]
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for call in message.get("tool_calls", [])
    ]
    return {**found, "tool_calls": calls} if calls else found


class OpenInference:
    """OpenInference's conventions: messages flattened into attributes."""

    name = "OpenInference"

    def agent(self, name: str) -> Attributes:
        """Return what an agent's span says when it begins."""
        return {"openinference.span.kind": "AGENT", "agent.name": name}

    def model(self, asked: list[Message], answer: Message, **more: Any) -> Attributes:
        """Return what a model's span says when it ends."""
        return {
            "openinference.span.kind": "LLM",
            "llm.model_name": "fake",
            **self._messages("llm.input_messages", asked),
            **self._messages("llm.output_messages", [answer]),
            "llm.token_count.prompt": 12,
            "llm.token_count.completion": 5,
            **more,
        }

    def tool(self, call: Message, result: Any, **more: Any) -> Attributes:
        """Return what a tool's span says when it ends."""
        return {
            "openinference.span.kind": "TOOL",
            "tool.name": call["name"],
            "tool_call.id": call["id"],
            "input.value": json.dumps(call["arguments"]),
            "output.value": result,
            **more,
        }

    @staticmethod
    def _messages(prefix: str, messages: list[Message]) -> Attributes:
        found: Attributes = {}
        for at, message in enumerate(messages):
            path = f"{prefix}.{at}.message"
            found |= {
                f"{path}.{name}": message[name] for name in ("role", "content", "tool_call_id") if name in message
            }
            for n, call in enumerate(message.get("tool_calls", [])):
                where = f"{path}.tool_calls.{n}.tool_call"
                found[f"{where}.id"] = call["id"]
                found[f"{where}.function.name"] = call["name"]
                found[f"{where}.function.arguments"] = json.dumps(call["arguments"])
        return found


DIALECTS = (Current(), Flattened(), OpenInference())
Dialect = Current | Flattened | OpenInference
