"""Messages in every form that instrumentations write are the same chat messages; anything else stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.otel.genai import read as read_genai
from runbus.otel.messages import from_openinference, instructions_of, messages_of, unflattened
from runbus.otel.openinference import read as read_openinference
from runbus.recorder import ABSENT

IMAGE = {"type": "blob", "modality": "image", "content": "iVBO"}
CALL = {"id": "c-1", "name": "add", "arguments": {"n": 1}}
FORMS: list[tuple[Any, list[Any]]] = [
    (None, []),
    ("hello", [{"role": "user", "content": "hello"}]),
    ([{"role": "user", "content": "hello"}], [{"role": "user", "content": "hello"}]),
    ('{"role": "system", "parts": [{"type": "text", "content": "x"}]}', [{"role": "system", "content": "x"}]),
    (
        {"role": "user", "parts": [{"type": "text", "content": "see"}, IMAGE]},
        [{"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}],
    ),
    (
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "tool_call", **CALL}]},
        [{"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}], "tool_calls": [CALL]}],
    ),
    (
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "c-1", "result": 2}, "and?"]},
        [
            {"role": "tool", "tool_call_id": "c-1", "content": 2},
            {"role": "user", "content": "and?"},
        ],
    ),
    ({"role": "tool", "parts": [{"type": "tool_call_response"}]}, [{"role": "tool", "content": None}]),
    (
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c-1", "name": "add", "args": {"n": 1}}]},
        [{"role": "assistant", "tool_calls": [CALL]}],
    ),
    (
        {"tool_calls": json.dumps([{"id": "c-1", "function": {"name": "add", "arguments": '{"n": 1}'}}])},
        [{"role": "user", "tool_calls": [CALL]}],
    ),
    ({"content": '[{"type": "text", "text": "x"}]'}, [{"role": "user", "content": "x"}]),
    ({"content": "[1, 2"}, [{"role": "user", "content": "[1, 2"}]),
    ({"role": "assistant", "parts": []}, [{"role": "assistant"}]),
]


@pytest.mark.parametrize(("value", "expected"), FORMS)
def test_each_form_of_a_message(value: Any, expected: list[Any]) -> None:
    """With parts, as a client sends it, as JSON text."""
    assert messages_of(value) == expected


def test_instructions_are_a_message_of_the_system() -> None:
    """A list of parts, or a text; before the messages, unless they begin with one."""
    assert instructions_of('[{"type": "text", "content": "Be short."}]') == [{"role": "system", "content": "Be short."}]
    assert instructions_of("Be short.") == [{"role": "system", "content": "Be short."}]
    assert instructions_of(None) == instructions_of("") == []
    said = {"gen_ai.system_instructions": "Be short.", "gen_ai.input.messages": "hi"}
    asked = read_genai(said, [], "model", "chat").asked
    assert [message["role"] for message in asked] == ["system", "user"]


def test_what_is_flattened_is_put_together_again() -> None:
    """In the order of the numbers, without those that are lost; parts of contents, too."""
    flat = {
        "m.10.message.role": "tool",
        "m.2.message.role": "user",
        "m.2.message.contents.0.message_content.type": "text",
        "m.2.message.contents.0.message_content.text": "see",
        "m.2.message.contents.1.message_content.type": "image",
        "m.10.message.content": "x",
        "m.10": "a value beside what is below it",
        "other": 1,
    }
    (first, second) = [message for item in unflattened(flat, "m") for message in from_openinference(item)]
    assert first == {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image"}]}
    assert second == {"role": "tool", "content": "x"}
    old = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "a", "gen_ai.completion.0.content": "b"}
    found = read_genai(old, [], "model", "chat")
    assert (found.asked, found.answer) == (
        [{"role": "user", "content": "a"}],
        {"role": "assistant", "content": "b"},
    )


def test_the_clients_own_object_tells_the_id_and_a_result_comes_out_of_its_message() -> None:
    """Of OpenInference, directly or one below; LangChain's tool results are messages."""
    for output in ({"id": "r-1"}, {"llm_output": {"id": "r-1"}}):
        assert read_openinference({"output.value": json.dumps(output)}, "model", "chat").id == "r-1"
    wrapped = json.dumps({"type": "tool", "data": {"content": "rain"}})
    assert read_openinference({"output.value": wrapped}, "tool", "weather").answer == "rain"
    assert read_openinference({}, "tool", "weather").answer is ABSENT


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(st.text("m.01ab", max_size=12), st.integers() | st.text(max_size=3), max_size=12))
def test_any_names_of_attributes_can_be_put_together(attributes: dict[str, Any]) -> None:
    """Nothing raises, and every value comes from them."""
    for item in unflattened(attributes, "m"):
        from_openinference(item)
        messages_of(item)
