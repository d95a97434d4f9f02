"""Spans of one story in three dialects: its episodes, steps, causes and ends, whatever ends first."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import Span

from runbus.recorder import ABSENT
from runbus.recorder.events import StreamStarted
from runbus.schemas.batch import NO_PARENT
from tests.support.genai_spans import ANSWER, ASKED, CALLING, CALLS, DIALECTS, RESULTS, SYSTEM, Current, Dialect
from tests.support.traced import Spoken, Traced, story

by_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=[dialect.name for dialect in DIALECTS])
quick = settings(max_examples=60, deadline=None, derandomize=True)


def weather(traced: Traced, dialect: Dialect, late: bool = False) -> None:
    """Run the story: a question, two calls of a tool at once, an answer."""
    known, end = dialect.agent("planner"), {}
    if late:
        known, end = {}, known
    agent = traced.begin("invoke_agent" if late else "invoke_agent planner", known, under=None, at=0)
    traced.call("chat", dialect.model([SYSTEM, ASKED], CALLING), under=agent, at=(1, 2))
    tools = [traced.begin("tool", {}, under=agent, at=3 + at) for at in range(2)]
    for at in (1, 0):  # the second one is ready first
        traced.end(tools[at], dialect.tool(CALLS[at], RESULTS[at]["content"]), at=9 - at)
    traced.call("chat", dialect.model([SYSTEM, ASKED, CALLING, *RESULTS], ANSWER), under=agent, at=(10, 11))
    traced.end(agent, end, at=12)


@by_dialect
@pytest.mark.parametrize("late", [False, True], ids=["named at its begin", "named at its end"])
def test_a_story_is_the_same_episode_in_every_dialect(dialect: Dialect, late: bool) -> None:
    """Children end before parents; parallel tools have one cause; what comes back as history is not recorded again."""
    traced = Traced()
    weather(traced, dialect, late)
    rows = traced.rows()
    assert rows.keys() == {"planner"}
    reset, *_ = planner = rows["planner"]
    assert story(planner) == [
        ("", "", None, [SYSTEM, ASKED]),
        ("model", "ok", CALLING, ABSENT),
        ("tool", "ok", {"tool": "weather", "arguments": {"city": "Oslo"}}, "rain in Oslo"),
        ("tool", "ok", {"tool": "weather", "arguments": {"city": "Rome"}}, "rain in Rome"),
        ("model", "ok", ANSWER, ABSENT),
        ("env", "ok", ABSENT, ABSENT),
    ]
    assert [spoken.words.parent for spoken in planner] == [NO_PARENT, 0, 1, 1, 3, 4]
    assert [spoken.row.over for spoken in planner][-1] == (True, False)
    assert [spoken.row.extras.get("duration_ms") for spoken in planner[1:5]] == [1, 6, 4, 1]
    assert all(spoken.row.extras["otel.waited_ms"] >= 0 for spoken in planner[1:5])
    model = planner[1].row.extras
    assert (model["llm.input_tokens"], model["llm.output_tokens"]) == (12, 5)
    assert len(reset.labels["trace"]) == 32
    assert traced.complaints() == {}


def test_what_is_new_to_the_model_is_its_observation() -> None:
    """Messages that no row has: one that a person said in between, and results of tools without a span."""
    traced = Traced()
    dialect = Current()
    agent = traced.begin("invoke_agent planner", dialect.agent("planner"))
    traced.call("chat", dialect.model([ASKED], CALLING), under=agent, at=(1, 2))
    hurry = {"role": "user", "content": "Hurry!"}
    traced.call("chat", dialect.model([ASKED, CALLING, *RESULTS, hurry], ANSWER), under=agent, at=(3, 4))
    traced.end(agent, at=5)
    assert traced.rows()["planner"][2].row.observation == [*RESULTS, hurry]


@by_dialect
@pytest.mark.parametrize("result", ['{"rain": true}', '["a", {"b": 1}]', "7"])
def test_a_result_that_is_data_is_known_when_it_comes_back(dialect: Dialect, result: str) -> None:
    """Recorded once, as data, though it is text in one place and data in another."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", dialect.agent("planner"))
    one = {**CALLING, "tool_calls": CALLS[:1]}
    traced.call("chat", dialect.model([ASKED], one), under=agent, at=(1, 2))
    traced.call("tool", dialect.tool(CALLS[0], result), under=agent, at=(3, 4))
    came_back = {**RESULTS[0], "content": json.loads(result) if dialect.name == "current" else result}
    traced.call("chat", dialect.model([ASKED, one, came_back], ANSWER), under=agent, at=(5, 6))
    traced.end(agent, at=9)
    rows = traced.rows()["planner"]
    assert rows[2].row.observation == (result if result == "7" else json.loads(result))
    assert rows[3].row.observation is ABSENT


@by_dialect
def test_a_call_without_content_stays_visible(dialect: Dialect) -> None:
    """Instrumentations leave contents out by default: kinds, names, tokens and times are there still."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", dialect.agent("planner"))
    content = ("messages", "arguments", "result", ".value", "events")
    for at, attributes in enumerate([dialect.model([ASKED], ANSWER), dialect.tool(CALLS[0], "rain")]):
        left = {name: value for name, value in attributes.items() if not any(word in name for word in content)}
        traced.call("call", left, under=agent, at=(at, at + 0.5))
    traced.end(agent, at=9)
    reset, model, tool, end = traced.rows()["planner"]
    assert story([reset, model, tool, end]) == [
        ("", "", None, ABSENT),
        ("model", "ok", ABSENT, ABSENT),
        ("tool", "ok", {"tool": "weather", "arguments": None}, ABSENT),
        ("env", "ok", ABSENT, ABSENT),
    ]
    assert model.row.extras["llm.output_tokens"] == 5


ERRORS = [
    ({"error.type": "openai.APITimeoutError"}, "late", "timeout", "openai.APITimeoutError: late"),
    ({"error.type": "asyncio.exceptions.CancelledError"}, "", "cancelled", "asyncio.exceptions.CancelledError"),
    ({"error.type": "ValueError"}, "ValueError: no", "error", "ValueError: no"),
    ({}, "something broke", "error", "something broke"),
    ({"gen_ai.response.finish_reasons": ["length"]}, "", "length", None),
]


@pytest.mark.parametrize(("attributes", "text", "status", "answer"), ERRORS)
def test_how_a_call_went_is_its_status(attributes: dict[str, Any], text: str, status: str, answer: str | None) -> None:
    """And the error its answer, if there is no other."""
    traced = Traced()
    chat = traced.begin("chat", {"gen_ai.operation.name": "chat", **attributes})
    traced.end(chat, at=1, error=text)
    _, model, end = traced.rows()["agent-0"]
    assert (model.words.status, model.row.action) == (status, ABSENT if answer is None else answer)
    assert (end.row.over, end.words.stop) == ((False, True), answer or status)


def test_an_exception_that_a_span_recorded_is_its_error() -> None:
    """As the SDK's own `with` notes it: an event, and the status."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", Current().agent("planner"))
    agent.record_exception(TimeoutError("no answer"))
    traced.end(agent, at=1, error="TimeoutError: no answer")
    _, end = traced.rows()["planner"]
    assert (end.words.status, end.words.stop, end.row.over) == ("timeout", "TimeoutError: no answer", (False, True))


def test_an_agent_whose_calls_nobody_sees_has_its_answer_as_a_step() -> None:
    """A remote one, or one whose client is not instrumented; without content there is just begin and end."""
    traced, dialect = Traced(), Current()
    said = dialect.model([ASKED], ANSWER)
    for name, attributes in (("remote", said), ("silent", {})):
        agent = traced.begin(f"invoke_agent {name}", dialect.agent(name))
        contents = {key: value for key, value in attributes.items() if key.endswith(".messages")}
        traced.end(agent, contents, at=1)
    rows = traced.rows()
    assert story(rows["remote"]) == [
        ("", "", None, [ASKED]),
        ("agent", "ok", ANSWER, ABSENT),
        ("env", "ok", ABSENT, ABSENT),
    ]
    assert len(rows["silent"]) == 2


def test_an_agent_that_another_began_has_a_stream_and_an_episode_of_its_own() -> None:
    """Its caller is named; the caller's tool that it ran in comes first there, though it ends last."""
    traced, dialect = Traced(), Current()
    outer = traced.begin("invoke_agent planner", dialect.agent("planner"))
    tool = traced.begin("execute_tool ask", {"gen_ai.operation.name": "execute_tool"}, under=outer, at=1)
    inner = traced.begin("invoke_agent re/searcher", dialect.agent("re/searcher"), under=tool, at=2)
    traced.call("chat", dialect.model([ASKED], ANSWER), under=inner, at=(3, 4))
    traced.end(inner, at=5)
    traced.end(tool, dialect.tool(CALLS[0], "asked"), at=6)
    traced.end(outer, at=7)
    rows = traced.rows()
    assert [spoken.words.kind for spoken in rows["planner"]] == ["", "tool", "env"]
    assert [spoken.words.kind for spoken in rows["re%2Fsearcher"]] == ["", "model", "env"]
    assert rows["re%2Fsearcher"][0].labels["caller"] == "planner"
    begun = {event.event.agent_id: event.event for event in traced.events() if isinstance(event, StreamStarted)}
    assert begun["re%2Fsearcher"].parent.startswith("run-1/planner/")
    assert begun["planner"].parent == ""


def test_a_name_that_is_put_right_at_the_end_is_the_agents_from_its_begin() -> None:
    """An instrumentation says a general name first; its span has the right one."""
    traced, dialect = Traced(), Current()
    agent = traced.begin("invoke_agent planner", dialect.agent("OpenAI Agent"))
    traced.call("chat", dialect.model([ASKED], ANSWER, **{"gen_ai.agent.name": "OpenAI Agent"}), under=agent, at=(1, 2))
    traced.end(agent, {"gen_ai.agent.name": "planner"}, at=3)
    assert traced.rows().keys() == {"planner"}


def test_calls_that_no_agents_span_is_around_are_the_episode_of_their_trace() -> None:
    """Which ends with the trace, as its first span did. A call that names its agent is on its stream."""
    traced, dialect = Traced(), Current()
    root = traced.begin("request", {}, scope="web")
    traced.call("chat", dialect.model([ASKED], ANSWER), under=root, at=(1, 2))
    traced.call("chat", dialect.model([ASKED], ANSWER, **{"gen_ai.agent.name": "helper"}), under=root, at=(3, 4))
    traced.end(root, at=5, error="it broke")
    rows = traced.rows()
    assert rows.keys() == {"agent-0", "helper"}
    for spoken in rows.values():
        assert [(each.words.kind, each.words.stop) for each in spoken] == [("", ""), ("model", ""), ("env", "it broke")]


def test_calls_with_no_span_around_them_are_the_episode_of_their_conversation() -> None:
    """Over several traces; nothing ends it but the end of the program."""
    traced, dialect = Traced(), Current()
    said = {"gen_ai.conversation.id": "talk-1"}
    traced.call("chat", dialect.model([ASKED], CALLING, **said), at=(1, 2))
    traced.call("chat", dialect.model([ASKED, CALLING, *RESULTS], ANSWER, **said), at=(3, 4))
    rows = traced.rows()["agent-0"]
    assert [spoken.words.kind for spoken in rows] == ["", "model", "model", "env"]
    assert rows[0].labels["conversation"] == "talk-1"
    assert rows[2].row.observation == RESULTS


def test_a_thread_that_lost_its_context_is_found_by_its_conversation() -> None:
    """Its call is a trace of its own; without the conversation it is an episode of its own."""
    traced, dialect = Traced(), Current()
    said = {"gen_ai.conversation.id": "talk-1"}
    agent = traced.begin("invoke_agent planner", dialect.agent("planner") | said)
    traced.call("chat", dialect.model([ASKED], ANSWER, **said), at=(1, 2))
    traced.call("chat", dialect.model([ASKED], ANSWER), at=(3, 4))
    traced.end(agent, at=5)
    rows = traced.rows()
    assert [spoken.words.kind for spoken in rows["planner"]] == ["", "model", "env"]
    assert [spoken.words.kind for spoken in rows["agent-0"]] == ["", "model", "env"]


def test_a_call_that_outlives_its_agents_span_is_in_its_episode() -> None:
    """A stream that is read to its end later; the end waits for it."""
    traced, dialect = Traced(), Current()
    agent = traced.begin("invoke_agent planner", dialect.agent("planner"))
    chat = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1)
    traced.end(agent, at=2)
    traced.end(chat, dialect.model([ASKED], ANSWER), at=3)
    assert [spoken.words.kind for spoken in traced.rows()["planner"]] == ["", "model", "env"]


def test_agents_of_many_threads_do_not_mix() -> None:
    """Each call once, in the episode of the agent that made it, in its order, with what it said."""
    traced, dialect, chance = Traced(), Current(), random.Random(7)
    ledger: dict[str, list[list[str]]] = {f"agent-{n}": [] for n in range(3)}

    def run(number: int) -> None:
        name, said = f"agent-{number % 3}", [f"{number}.{turn}" for turn in range(number % 7)]
        agent = traced.begin(f"invoke_agent {name}", dialect.agent(name), at=number)
        for turn, text in enumerate(said):
            chat = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=number + turn)
            traced.end(chat, dialect.model([ASKED], {"role": "assistant", "content": text}), at=number + turn + 1)
        traced.end(agent, at=number + 10)
        ledger[name].append(said)

    numbers = [*range(150)]
    chance.shuffle(numbers)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, numbers))
    for name, rows in traced.rows().items():
        episodes: dict[tuple[int, int], list[Spoken]] = {}
        for spoken in rows:
            episodes.setdefault((spoken.row.env, spoken.row.episode), []).append(spoken)
        assert all(episode[-1].row.over == (True, False) for episode in episodes.values())
        found = [_texts([spoken for spoken in each if spoken.words.kind == "model"]) for each in episodes.values()]
        assert sorted(found) == sorted(ledger.pop(name))
    assert (ledger, traced.complaints()) == ({}, {})


@quick
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=12),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_rows_are_in_the_order_in_which_calls_began(times: list[tuple[int, int]], seed: int, late: bool) -> None:
    """Whatever ends first, in two agents at once, each call once, whether spans say at their begin what they are."""
    chance = random.Random(seed)
    traced, dialect = Traced(), Current()
    agents = [traced.begin(f"invoke_agent {name}", dialect.agent(name), at=-1) for name in ("a", "b")]
    calls: list[tuple[int, int, int, int]] = [(at, at + lasts, n % 2, n) for n, (at, lasts) in enumerate(times)]
    moments = [(at, 0, call) for call in calls for at in call[:1]] + [(call[1], 1, call) for call in calls]
    chance.shuffle(moments)
    open_spans: dict[int, Span] = {}
    for at, ends, call in sorted(moments, key=lambda moment: moment[:2]):
        if ends:
            answer = {"role": "assistant", "content": str(call[3])}
            traced.end(
                open_spans[call[3]], dialect.model([ASKED], answer, **{"gen_ai.response.id": f"r-{call[3]}"}), at=at
            )
        else:
            known = {} if late else {"gen_ai.operation.name": "chat"}
            open_spans[call[3]] = traced.begin("chat", known, under=agents[call[2]], at=at)
    for agent in agents:
        traced.end(agent, at=100)
    rows = traced.rows()
    for which, name in enumerate(("a", "b")):
        mine = sorted((call for call in calls if call[2] == which), key=lambda call: call[0])
        found = [spoken for spoken in rows.get(name, []) if spoken.words.kind == "model"]
        starts = {str(call[3]): call[0] for call in mine}
        assert sorted(starts) == sorted(_texts(found))
        began = [starts[said] for said in _texts(found)]
        assert began == sorted(began) or late


def _texts(rows: list[Spoken]) -> list[str]:
    return [spoken.row.action["content"] for spoken in rows]
