"""What is said beside a span: messages as events and log records, and evaluations as scores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span, set_span_in_context

from runbus.recorder import ABSENT
from tests.support.genai_spans import ANSWER, ASKED, CALLING, CALLS, SYSTEM, Current, old_message
from tests.support.traced import Traced

PAGE = Path(__file__).parents[3] / "docs" / "otel.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
CURRENT = Current()
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.system": "openai"}


def say(
    traced: Traced, span: Span | None, name: str, body: Any = None, attributes: dict[str, Any] | None = None
) -> None:
    """Emit a log record inside a span."""
    context = None if span is None else set_span_in_context(span)
    record = LogRecord(event_name=name, body=body, attributes=attributes, context=context)
    traced.loggers.get_logger("client").emit(record)


def messages_as_logs(traced: Traced, span: Span) -> None:
    """As the conventions up to 1.36 have them: a log record each."""
    for message in (SYSTEM, ASKED):
        say(traced, span, f"gen_ai.{message['role']}.message", {"content": message["content"]})
    say(traced, span, "gen_ai.choice", {"index": 0, "finish_reason": "length", "message": old_message(CALLING)})


def messages_as_events(traced: Traced, span: Span) -> None:
    """As events of the span."""
    for message in (SYSTEM, ASKED):
        span.add_event(f"gen_ai.{message['role']}.message", {"content": message["content"]})
    span.add_event("gen_ai.choice", {"finish_reason": "length", "message": json.dumps(old_message(CALLING))})


def two_events(traced: Traced, span: Span) -> None:
    """As the first drafts had them."""
    prompt = json.dumps([SYSTEM, ASKED])
    span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": prompt})
    span.add_event("gen_ai.content.completion", {"gen_ai.completion": json.dumps([old_message(CALLING)])})
    span.set_attribute("gen_ai.response.finish_reasons", ["max_tokens"])


def details(traced: Traced, span: Span) -> None:
    """As the conventions of today have them beside a span: structured, in one event."""
    said = CURRENT.model([SYSTEM, ASKED], CALLING)
    messages = {name: json.loads(said[name]) for name in ("gen_ai.input.messages", "gen_ai.output.messages")}
    say(traced, span, "gen_ai.client.inference.operation.details", None, messages)
    span.set_attribute("gen_ai.response.finish_reasons", ["length"])


@pytest.mark.parametrize("form", [messages_as_logs, messages_as_events, two_events, details])
def test_messages_beside_a_span_are_its_content(form: Any) -> None:
    """In each form; and why the answer ended."""
    traced = Traced()
    chat = traced.begin("chat", CHAT)
    form(traced, chat)
    traced.end(chat, at=1)
    reset, model, _ = traced.rows()["agent-0"]
    assert (reset.row.observation, model.row.action, model.words.status) == ([SYSTEM, ASKED], CALLING, "length")
    assert traced.complaints() == {}


def test_events_without_content_say_nothing_but_which_tools_were_called() -> None:
    """As they come where contents are left out."""
    traced = Traced()
    chat = traced.begin("chat", CHAT)
    say(traced, chat, "gen_ai.user.message", None, {"gen_ai.system": "openai"})
    call = {"id": "call-1", "type": "function", "function": {"name": "weather"}}
    say(traced, chat, "gen_ai.choice", {"message": {"role": "assistant", "tool_calls": [call]}})
    traced.end(chat, at=1)
    reset, model, _ = traced.rows()["agent-0"]
    assert reset.row.observation is ABSENT
    assert model.row.action == {"role": "assistant", "tool_calls": [{"id": "call-1", "name": "weather"}]}


def test_events_of_a_span_that_is_not_sampled_are_not_looked_for() -> None:
    """As little as the span itself."""
    traced = Traced(sampler=ALWAYS_OFF)
    say(traced, traced.begin("chat", CHAT), "gen_ai.choice", {"message": old_message(ANSWER)})
    assert traced.complaints() == {}


def test_an_event_whose_span_is_over_is_counted_and_others_are_left_alone() -> None:
    """Its row is written; a log record that is not about us is not looked at."""
    traced = Traced()
    chat = traced.call("chat", CHAT, at=(0, 1))
    say(traced, chat, "gen_ai.choice", {"message": old_message(ANSWER)})
    say(traced, None, "something.else", {"message": "x"})
    assert traced.complaints() == {"late events": 1}


def evaluated(traced: Traced, span: Span | None, name: str, value: Any, **more: Any) -> None:
    """Emit an evaluation."""
    said = {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": value}
    say(traced, span, "gen_ai.evaluation.result", None, said | {f"gen_ai.{key}": word for key, word in more.items()})


def test_an_evaluation_is_a_score_of_what_its_span_is_about() -> None:
    """Before its row is written and long after; of a step, of an episode, or of an answer by its id."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    chat = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1)
    inner = traced.begin("judge", {"openinference.span.kind": "CHAIN"}, under=chat, at=1)
    evaluated(traced, inner, "early", 0.25)
    traced.end(inner, at=2)
    traced.end(chat, CURRENT.model([ASKED], ANSWER, **{"gen_ai.response.id": "r-1"}), at=2)
    agent.add_event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "own", "gen_ai.evaluation.score.value": 3})
    traced.end(agent, at=3)
    traced.call("chat", CURRENT.model([ASKED], ANSWER), at=(4, 5))
    evaluated(traced, agent, "late", 1.0, **{"evaluation.score.label": "good", "evaluation.explanation": "right"})
    evaluated(traced, None, "by id", None, **{"response.id": "r-1", "evaluation.score.label": "pass"})
    evaluated(traced, None, "of nothing", 1.0)
    found = []
    for batch in traced.scores():
        columns, names = batch.columns, batch.names
        assert columns.env is not None
        assert columns.episode is not None
        seqs = [-1] * batch.header.count if columns.step_seq is None else columns.step_seq.tolist()
        labels = batch.label or ("",) * batch.header.count
        for i, name in enumerate(columns.name.tolist()):
            found.append((names[name], columns.value.tolist()[i], seqs[i], labels[i], columns.episode.tolist()[i]))
    assert [(name, seq, label, episode) for name, _, seq, label, episode in found] == [
        ("early", 1, "", 0),
        ("own", -1, "", 0),
        ("late", -1, "good", 0),
        ("by id", 1, "pass", 0),
    ]
    assert [value for _, value, *_ in found[:3]] == [0.25, 3.0, 1.0]
    assert traced.complaints() == {"evaluations": 1}


def test_evaluators_and_guardrails_are_judges() -> None:
    """Of OpenInference: a step with what they looked at and said."""
    traced = Traced()
    agent = traced.begin("planner.run", {"openinference.span.kind": "AGENT"})
    said = {"openinference.span.kind": "EVALUATOR", "input.value": '{"a": 1}', "output.value": "fine"}
    traced.call("critic", said, under=agent, at=(1, 2))
    traced.call("search", {"gen_ai.operation.name": "retrieval"}, under=agent, at=(3, 4))
    traced.end(agent, at=5)
    _, judge, search, _ = traced.rows()["planner"]
    assert (judge.words.kind, judge.row.action, judge.row.observation) == (
        "judge",
        {"tool": "critic", "arguments": {"a": 1}},
        "fine",
    )
    assert (search.words.kind, search.row.action["tool"]) == ("tool", "retrieval")
    assert CALLS


@pytest.mark.parametrize("code", EXAMPLES)
def test_each_example_of_its_page_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands; the first span connects to Kafka, and there is none in it."""
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/otel.md", "exec"), names)
    names["provider"].shutdown()
