"""Reads messages in the forms that instrumentations write, as chat messages. Pure; what has no such form stays.

A chat message is what `runbus.llm` gets from clients: a dict of role, content (a text, or a list of parts), tool_calls
(a list of id, name and arguments) and, of role `tool`, tool_call_id. One message is the same whatever form it came in,
so that an answer is known when it comes back as history. What a tool answered is data, if it is JSON, here as in its
own span.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Message = dict[str, Any]
_DEEPEST = 12


def parsed(value: Any) -> Any:  # noqa: ANN401 - the value of an attribute
    """Return what JSON text says, if it says a list or a mapping; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def is_cut(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is JSON text of a list or a mapping whose end is missing."""
    return isinstance(value, str) and value[:1] in {"{", "["} and isinstance(parsed(value), str)


def messages_of(value: Any, role: str = "") -> list[Message]:  # noqa: ANN401
    """Return the messages in a value: a list of messages, one of them, or its JSON text.

    Args:
        value: messages with `parts` (as the conventions have them) or with `content` (as clients have them), or a text.
        role: of those that do not say theirs.
    """
    data = parsed(value)
    if data is None:
        return []
    found = []
    for item in data if isinstance(data, list | tuple) else [data]:
        plain = parsed(item)
        if not isinstance(plain, Mapping):
            found.append({"role": role or "user", "content": plain})
        elif isinstance(plain.get("parts"), list | tuple):
            found += _from_parts(plain, role)
        else:
            found.append(_from_chat(plain, role))
    return found


def instructions_of(value: Any) -> list[Message]:  # noqa: ANN401
    """Return the message of the system that a list of parts is, or a text."""
    data = parsed(value)
    if data in (None, "", []):
        return []
    parts = data if isinstance(data, list | tuple) else [{"type": "text", "content": data}]
    return _from_parts({"role": "system", "parts": parts}, "system")


def called(id_: Any, name: Any, arguments: Any) -> Message:  # noqa: ANN401
    """Return a call that a model asked for."""
    call = {"id": id_, "name": name, "arguments": parsed(arguments)}
    return {key: value for key, value in call.items() if value is not None}


def ids_of_calls(messages: Iterable[Message]) -> tuple[str, ...]:
    """Return the ids of the tool calls that messages ask for."""
    calls = (call for message in messages for call in message.get("tool_calls", ()))
    return tuple(call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str))


def unflattened(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """Return the list that was written as attributes `prefix.0.name`, `prefix.1.name`, ...: mappings, lists and values.

    One of which nothing arrived is left out.
    """
    tree: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith(prefix + "."):
            _put(tree, key[len(prefix) + 1 :].split("."), value)
    folded = _folded(tree)
    return folded if isinstance(folded, list) else []


def from_openinference(item: Any) -> list[Message]:  # noqa: ANN401
    """Return the message in one of OpenInference's `llm.input_messages.N`, unflattened."""
    said = item.get("message") if isinstance(item, Mapping) else None
    if not isinstance(said, Mapping):
        return []
    message: Message = {"role": said.get("role", "user")}
    contents = [part for entry in _list(said.get("contents")) for part in _part_of_contents(entry)]
    if "content" in said:
        message["content"] = parsed(said["content"]) if message["role"] == "tool" else said["content"]
    elif contents:
        message["content"] = _content(contents)
    calls = [call for entry in _list(said.get("tool_calls")) for call in _call_of_openinference(entry)]
    if calls:
        message["tool_calls"] = calls
    if "tool_call_id" in said:
        message["tool_call_id"] = said["tool_call_id"]
    return [message]


def _part_of_contents(entry: Any) -> list[Message]:  # noqa: ANN401
    content = entry.get("message_content") if isinstance(entry, Mapping) else None
    return [dict(content)] if isinstance(content, Mapping) else []


def _call_of_openinference(entry: Any) -> list[Message]:  # noqa: ANN401
    call = entry.get("tool_call") if isinstance(entry, Mapping) else None
    if not isinstance(call, Mapping):
        return []
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    return [called(call.get("id"), function.get("name"), function.get("arguments"))]


def _from_parts(said: Mapping[str, Any], role: str) -> list[Message]:
    results: list[Message] = []
    calls: list[Message] = []
    content: list[Message] = []
    for part in said["parts"]:
        if not isinstance(part, Mapping):
            content.append({"type": "text", "text": part})
        elif part.get("type") == "tool_call":
            calls.append(called(part.get("id"), part.get("name"), part.get("arguments")))
        elif part.get("type") == "tool_call_response":
            results.append(_result(part))
        else:
            content.append(_part(part))
    message: Message = {"role": said.get("role") or role or "user"}
    if content:
        message["content"] = _content(content)
    if calls:
        message["tool_calls"] = calls
    return [*results, message] if content or calls or not results else results


def _result(part: Mapping[str, Any]) -> Message:
    result = next((part[name] for name in ("response", "result", "content") if name in part), None)
    message = {"role": "tool", "tool_call_id": part.get("id"), "content": parsed(result)}
    return {key: value for key, value in message.items() if value is not None or key == "content"}


def _part(part: Mapping[str, Any]) -> Message:
    kind = part.get("type")
    if kind in {"text", "reasoning"} and "content" in part:
        rest = {key: value for key, value in part.items() if key != "content"}
        return {**rest, "text": part["content"]}
    return dict(part)


def _content(parts: list[Message]) -> Any:  # noqa: ANN401 - a text if that is all
    only = parts[0] if len(parts) == 1 else {}
    return only["text"] if only.keys() == {"type", "text"} and only["type"] == "text" else parts


def _from_chat(said: Mapping[str, Any], role: str) -> Message:
    """Return a message of a client; `id` is what old conventions call the id of the call that a tool answers."""
    message: Message = {"role": said.get("role") or role or "user"}
    content = parsed(said.get("content"))
    if isinstance(content, list) and content and all(isinstance(part, Mapping) for part in content):
        content = _content([_part(part) for part in content])
    elif content is not None and message["role"] != "tool":
        content = said["content"]
    calls = [call for entry in _list(said.get("tool_calls")) for call in _call_of_chat(entry)]
    answers = said.get("tool_call_id", said.get("id") if message["role"] == "tool" else None)
    if content is not None or not calls:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    if answers is not None:
        message["tool_call_id"] = answers
    return message


def _call_of_chat(entry: Any) -> list[Message]:  # noqa: ANN401
    if not isinstance(entry, Mapping):
        return []
    function = entry.get("function")
    function = function if isinstance(function, Mapping) else entry
    return [called(entry.get("id"), function.get("name"), function.get("arguments", function.get("args")))]


def _list(value: Any) -> list[Any]:  # noqa: ANN401
    data = parsed(value)
    return list(data) if isinstance(data, list | tuple) else []


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:  # noqa: ANN401
    if len(path) > _DEEPEST:
        return
    for name in path[:-1]:
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):  # a value and something below it: the first stays
            return
        tree = below
    tree.setdefault(path[-1], value)


def _folded(tree: Any) -> Any:  # noqa: ANN401
    if not isinstance(tree, dict):
        return tree
    if tree and all(name.isdecimal() and name.isascii() for name in tree):
        return [_folded(tree[name]) for name in sorted(tree, key=lambda name: (len(name), name))]
    return {name: _folded(below) for name, below in tree.items()}
