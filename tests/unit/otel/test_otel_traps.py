"""What spans do wrong: two instrumentations at once, spans that never end, sampling, limits, values of any kind."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, StatusCode, TraceState
from opentelemetry.util.types import Attributes

from runbus.config.errors import ConfigError
from runbus.otel import Limits, RecordSpans
from runbus.recorder import ABSENT, RunBus
from tests.support.genai_spans import ANSWER, ASKED, CALLING, CALLS, RESULTS, Current, OpenInference
from tests.support.traced import Spoken, Traced

CURRENT, OPENINFERENCE = Current(), OpenInference()
quick = settings(max_examples=150, deadline=None, derandomize=True)


def kinds(rows: Sequence[Spoken]) -> list[str]:
    """Return the kinds of rows."""
    return [spoken.words.kind for spoken in rows]


# --- two instrumentations at once -------------------------------------------------------------------------------------


def test_a_call_that_two_instrumentations_see_is_one_step(caplog: pytest.LogCaptureFixture) -> None:
    """The client's span is inside the framework's: counted each time, said once; what only one of them says is kept."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    for at in (1, 5):
        outer = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=at)
        said = OPENINFERENCE.model([ASKED], ANSWER, **{"llm.cost.total": 0.5})
        traced.call("ChatCompletion", said, under=outer, at=(at + 1, at + 2), scope="client")
        traced.end(outer, CURRENT.model([ASKED], {"role": "assistant", "content": f"{at}"}), at=at + 3)
    traced.end(agent, at=9)
    rows = traced.rows()["planner"]
    assert kinds(rows) == ["", "model", "model", "env"]
    assert [spoken.row.action["content"] for spoken in rows[1:3]] == ["1", "5"]
    assert rows[1].row.extras["llm.cost_usd"] == 0.5
    assert traced.complaints() == {"doubles": 2}
    assert len([record for record in caplog.records if "two instrumentations" in record.message]) == 1


def test_the_span_that_has_the_content_is_the_one_that_counts() -> None:
    """The framework's leaves it out, the client's does not."""
    traced = Traced()
    outer = traced.begin("chat", {"gen_ai.operation.name": "chat"})
    traced.call("ChatCompletion", OPENINFERENCE.model([ASKED], ANSWER), under=outer, at=(1, 2), scope="client")
    traced.end(outer, at=3)
    rows = traced.rows()["agent-0"]
    assert (rows[1].row.action, rows[0].row.observation) == (ANSWER, [ASKED])


def test_spans_beside_each_other_are_one_call_if_they_agree_in_what_only_one_says() -> None:
    """Of two instrumentations, at one time: its id, or its content; two calls of one of them are two."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    first = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1, scope="a")
    same = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1, scope="b")
    another = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1, scope="b")
    for span, id_ in ((first, "r-1"), (same, "r-1"), (another, "r-2")):
        traced.end(span, CURRENT.model([ASKED], ANSWER, **{"gen_ai.response.id": id_}), at=2)
    for scope, arguments in (("a", {"n": 1}), ("b", {"n": 1}), ("a", {"n": 1}), ("b", {"n": 2})):
        said = CURRENT.tool({"name": "add", "id": f"c-{scope}", "arguments": arguments}, "2")
        traced.call("tool", {**said, "gen_ai.tool.call.id": ""}, under=agent, at=(3, 4), scope=scope)
    traced.end(agent, at=9)
    rows = traced.rows()["planner"]
    assert kinds(rows) == ["", "model", "model", "tool", "tool", "tool", "env"]
    assert traced.complaints() == {"doubles": 2}


def test_a_call_inside_another_one_is_one_of_its_own_if_it_is_another() -> None:
    """A tool that calls another instrumentation's tool; a model made of models, of one instrumentation."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    outer = traced.begin("execute_tool research", {"gen_ai.operation.name": "execute_tool"}, under=agent, at=1)
    for name, at in (("fetch", 2), ("research", 4)):
        said = CURRENT.tool({"name": name, "id": "", "arguments": {"of": name}}, "found")
        traced.call("tools/call", said, under=outer, at=(at, at + 1), scope="mcp")
    traced.end(outer, CURRENT.tool({"name": "research", "id": "c-1", "arguments": {"n": 1}}, "all"), at=6)
    ensemble = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=7)
    traced.call("chat", CURRENT.model([ASKED], CALLING), under=ensemble, at=(8, 9))
    traced.end(ensemble, CURRENT.model([ASKED], ANSWER), at=10)
    traced.end(agent, at=11)
    rows = traced.rows()["planner"]
    assert [spoken.row.action["tool"] for spoken in rows if spoken.words.kind == "tool"] == ["research", "fetch"]
    assert kinds(rows).count("model") == 2
    assert traced.complaints() == {"doubles": 1}


def test_a_second_trace_about_the_same_agent_adds_nothing() -> None:
    """Of two instrumentations, at one time: its id or its content. Two calls of one of them are two."""
    traced = Traced()
    agents = [traced.begin("invoke_agent planner", CURRENT.agent("planner"), scope=scope) for scope in ("a", "b")]
    for at, answer in ((1, CALLING), (3, ANSWER)):
        for agent, scope in zip(agents, ("a", "b"), strict=True):
            said = CURRENT.model([ASKED], answer, **{"gen_ai.response.id": f"r-{at}"})
            traced.call("chat", said, under=agent, at=(at, at + 1), scope=scope)
    for agent in agents:
        traced.end(agent, at=9)
    assert kinds(traced.rows()["planner"]) == ["", "model", "model", "env"]
    assert traced.complaints() == {"doubles": 2}


def test_an_agents_span_inside_another_ones_of_its_name_is_the_same_agent() -> None:
    """If another instrumentation made it; if the same one did, the agent called itself."""
    traced = Traced()
    outer = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    same = traced.begin("planner", OPENINFERENCE.agent("planner"), under=outer, at=1, scope="other")
    again = traced.begin("invoke_agent planner", CURRENT.agent("planner"), under=same, at=2)
    traced.call("chat", CURRENT.model([ASKED], ANSWER), under=again, at=(3, 4))
    traced.call("chat", CURRENT.model([ASKED], ANSWER), under=same, at=(5, 6))
    for at, span in enumerate((again, same, outer)):
        traced.end(span, at=7 + at)
    rows = traced.rows()["planner"]
    assert sorted((spoken.row.env, spoken.words.kind) for spoken in rows) == [
        (0, ""), (0, "env"), (0, "model"), (1, ""), (1, "env"), (1, "model"),
    ]  # fmt: skip
    assert traced.complaints() == {"doubles": 1}


def test_a_call_that_a_client_saw_in_a_trace_of_its_own_is_there_twice_and_said() -> None:
    """A framework that does not pass the context on: its own span says the answer's id too."""
    traced = Traced()
    said = {"gen_ai.response.id": "r-1"}
    traced.call("chat", CURRENT.model([ASKED], ANSWER, **said), at=(2, 3), scope="client")
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    traced.call("chat", CURRENT.model([ASKED], ANSWER, **said), under=agent, at=(1, 4))
    traced.end(agent, at=5)
    assert traced.rows().keys() == {"agent-0", "planner"}
    assert traced.complaints() == {"doubles apart": 1}


# --- what does not come -----------------------------------------------------------------------------------------------


class Deciding(Sampler):
    """Samples as the name of a span says."""

    def should_sample(
        self,
        parent_context: Context | None,  # noqa: ARG002 - the SDK's contract
        trace_id: int,  # noqa: ARG002 - the SDK's contract
        name: str,
        kind: SpanKind | None = None,  # noqa: ARG002 - the SDK's contract
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002 - the SDK's contract
        trace_state: TraceState | None = None,  # noqa: ARG002 - the SDK's contract
    ) -> SamplingResult:
        """Return the decision that the name is."""
        decision = Decision[name] if name in Decision.__members__ else Decision.RECORD_AND_SAMPLE
        return SamplingResult(decision, attributes)

    def get_description(self) -> str:
        """Return its name."""
        return "Deciding"


def test_spans_that_are_not_sampled_are_not_recorded_and_their_children_are() -> None:
    """One that is dropped never comes; one that is only for the process itself is counted."""
    traced = Traced(sampler=Deciding())
    dropped = traced.begin("DROP", CURRENT.agent("planner"))
    traced.call("RECORD_ONLY", CURRENT.model([ASKED], CALLING), under=dropped, at=(1, 2))
    traced.call("RECORD_ONLY", {"not": "ours"}, under=dropped, at=(1, 2))
    traced.call("chat", CURRENT.model([ASKED], ANSWER), under=dropped, at=(3, 4))
    traced.end(dropped, at=5)
    rows = traced.rows()
    assert {name: kinds(each) for name, each in rows.items()} == {"agent-0": ["", "model", "env"]}
    assert traced.complaints() == {"not sampled": 1}


def test_a_span_that_never_ends_holds_up_its_episode_only_so_long() -> None:
    """A task that was cancelled: what came is written, and the one that did not is counted."""
    traced = Traced(limits=Limits(late_s=0.0))
    root = traced.begin("main", {}, scope="mine")
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"), under=root)
    traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1)
    traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(2, 3))
    traced.end(agent, at=4)
    late = traced.call("chat", CURRENT.model([ASKED], ANSWER), under=root, at=(5, 6))
    rows = traced.rows()
    assert late.is_recording() is False
    assert (kinds(rows["planner"]), rows["planner"][-1].row.over) == (["", "model", "env"], (True, False))
    assert traced.complaints()["never ended"] >= 1


async def _cancelled(traced: Traced) -> None:
    tracer, begun = traced.provider.get_tracer("mine"), asyncio.Event()

    async def run() -> None:
        with (
            tracer.start_as_current_span("invoke_agent a", attributes=CURRENT.agent("a")),
            tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}),
        ):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await begun.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        traced.call("chat", CURRENT.model([ASKED], ANSWER), at=(1, 2))


def test_a_task_that_is_cancelled_is_cancelled_though_its_spans_do_not_say_it() -> None:
    """The SDK's `with` notes nothing of it. What runs while the program handles the cancellation is not cancelled."""
    traced = Traced()
    asyncio.run(_cancelled(traced))
    rows = traced.rows()
    assert [(spoken.words.kind, spoken.words.status) for spoken in rows["a"]] == [
        ("", ""),
        ("model", "cancelled"),
        ("env", "cancelled"),
    ]
    assert (rows["a"][-1].row.over, rows["a"][-1].words.stop) == ((False, True), "CancelledError: ")
    assert [spoken.words.status for spoken in rows["agent-0"]] == ["", "ok", "ok"]


def test_what_is_open_at_the_end_of_the_program_is_cut() -> None:
    """Steps that came are there; the episode says that it was cut."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1)
    traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(2, 3))
    rows = traced.rows()["planner"]
    assert (kinds(rows), rows[-1].row.over, rows[-1].words.status) == (["", "model", "env"], (False, True), "cancelled")
    assert rows[-1].words.stop == "when the program ended"
    assert traced.complaints() == {"never ended": 2}


def test_a_call_that_ends_when_its_episode_was_given_up_has_one_of_its_own() -> None:
    """On the same stream: nothing is lost."""
    traced = Traced(limits=Limits(late_s=0.0))
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    chat = traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=1)
    traced.end(agent, at=2)
    traced.call("other", {}, at=(3, 4))
    traced.end(chat, CURRENT.model([ASKED], ANSWER), at=5)
    assert kinds(traced.rows()["planner"]) == ["", "env", "", "model", "env"]
    assert traced.complaints() == {"never ended": 1, "late": 1}


def open_traces(traced: Traced) -> None:
    """Begin more traces than are kept; none ends."""
    for at in range(20):
        agent = traced.begin(f"invoke_agent a-{at}", CURRENT.agent(f"a-{at}"), at=at)
        traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(at, at + 1))


def long_calls(traced: Traced) -> None:
    """Let more calls wait for one that never ends than are kept."""
    agent = traced.begin("invoke_agent a-0", CURRENT.agent("a-0"))
    traced.begin("chat", {"gen_ai.operation.name": "chat"}, under=agent, at=0)
    for at in range(20):
        traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(at + 1, at + 2))


def conversations(traced: Traced) -> None:
    """Begin more conversations than are kept; nothing ends one."""
    for at in range(20):
        said = {"gen_ai.conversation.id": f"talk-{at}", "gen_ai.agent.name": "a-0"}
        traced.call("chat", CURRENT.model([ASKED], ANSWER, **said), at=(at, at + 1))


BOUNDS = [
    (open_traces, Limits(open_spans=5), "never ended", 15),
    (open_traces, Limits(idle_s=-1.0), "never ended", 19),
    (long_calls, Limits(held_calls=5), "order", 15),
    (long_calls, Limits(held_size=100), "never ended", 2),
    (conversations, Limits(conversations=5), "", 0),
]


@pytest.mark.parametrize(("program", "limits", "complaint", "least"), BOUNDS)
def test_memory_is_bounded_and_no_step_is_lost(
    program: Callable[[Traced], None], limits: Limits, complaint: str, least: int
) -> None:
    """What is given up is written as far as it came, and counted; every call is there in the end."""
    traced = Traced(limits=limits)
    program(traced)
    kept = traced.spans._traces
    assert kept._open <= 5 or limits.open_spans > 5
    assert len(kept._conversations) <= 5
    assert sum(len(w.calls) for t in kept._traces.values() for w in [*t.agents, t.top]) <= 5
    if complaint:
        assert traced.complaints()[complaint] >= least
    rows = [spoken for each in traced.rows().values() for spoken in each]
    assert kinds(rows).count("model") == 20
    assert sum(spoken.words.kind == "" for spoken in rows) == sum(any(spoken.row.over) for spoken in rows)
    assert (kept._open, kept._size, len(kept._traces)) == (0, 0, 0)


def test_nothing_of_a_trace_is_kept_while_it_goes_on() -> None:
    """A program whose one span is around everything: what is over is forgotten."""
    traced = Traced()
    root = traced.begin("main", {}, scope="mine")
    for at in range(50):
        agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"), under=root, at=at)
        traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(at, at + 1))
        traced.end(agent, at=at + 1)
    agent = traced.begin("invoke_agent busy", CURRENT.agent("busy"), under=root, at=60)
    for at in range(200):
        traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(60 + at, 61 + at))
    (trace,) = traced.spans._traces._traces.values()
    (busy,) = trace.agents
    assert (len(busy.calls), len(busy.written) <= 64) == (0, True)
    assert all(call.reading.asked is ABSENT for call in busy.written)
    traced.end(agent, at=300)
    assert (len(trace.nodes), len(trace.agents), trace.top.calls) == (1, 0, [])
    assert len(traced.rows()["planner"]) == 150
    assert root.is_recording()


# --- what comes damaged -----------------------------------------------------------------------------------------------


def test_attributes_over_the_limit_of_the_sdk_are_said_and_the_step_is_there(caplog: pytest.LogCaptureFixture) -> None:
    """OpenInference's flattened messages overflow it, and the oldest go first: even what the span is about."""
    traced = Traced(span_limits=SpanLimits(max_span_attributes=8))
    chat = traced.begin("chat", {"openinference.span.kind": "LLM"})
    traced.end(chat, OPENINFERENCE.model([ASKED, CALLING, *RESULTS], ANSWER), at=1)
    rows = traced.rows()["agent-0"]
    assert (kinds(rows), rows[1].row.action) == (["", "model", "env"], ANSWER)
    assert rows[1].row.extras["otel.dropped_attributes"] > 0
    assert traced.complaints() == {"dropped attributes": 1}
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in caplog.text


NAMES = st.sampled_from(
    [*CURRENT.model([ASKED], ANSWER), *CURRENT.tool(CALLS[0], "x"), *OPENINFERENCE.model([ASKED, CALLING], ANSWER),
     *OPENINFERENCE.tool(CALLS[0], "x"), "events", "gen_ai.agent.name", "agent.name", "session.id", "error.type",
     "gen_ai.conversation.id", "gen_ai.system_instructions", "gen_ai.response.finish_reasons", "gen_ai.prompt.0.role",
     "gen_ai.completion", "gen_ai.prompt", "llm.input_messages.0.message.contents.0.message_content",
     "llm.output_messages.0", "llm.input_messages.0.message.tool_calls.0", "gen_ai.evaluation.score.value"]
)  # fmt: skip
WORDS = ["chat", "invoke_agent", "execute_tool", "LLM", "TOOL", "AGENT", "EVALUATOR", "x", ""]


def test_messages_that_the_sdk_cut_are_text_and_said() -> None:
    """A limit of characters breaks their JSON: what is left of it is recorded."""
    traced = Traced(span_limits=SpanLimits(max_attribute_length=80))
    traced.call("chat", CURRENT.model([ASKED, ASKED], ANSWER), at=(0, 1))
    reset, model, _ = traced.rows()["agent-0"]
    assert reset.row.observation[0]["content"].startswith('[{"role": "user", "parts"')
    assert model.row.extras["llm.output_tokens"] == 5
    assert traced.complaints() == {"cut messages": 1}


KEYS = st.sampled_from(["role", "parts", "content", "tool_calls", "type", "message"])
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4)
FLAT = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(KEYS, LEAVES, max_size=3)
DEEPER = FLAT | st.lists(FLAT, max_size=2) | st.dictionaries(KEYS, FLAT, max_size=3)
JSON = DEEPER | st.lists(DEEPER, max_size=2) | st.dictionaries(KEYS, DEEPER, max_size=3)
VALUES = (
    st.sampled_from(WORDS)
    | JSON
    | JSON.map(json.dumps)
    | st.sampled_from(["[" * 3000, "{", '{"a":', "\ud800", b"\xff", object()])
)


@quick
@given(st.lists(st.tuples(st.dictionaries(NAMES, VALUES, max_size=8), st.booleans(), st.booleans()), max_size=6))
def test_no_attribute_reaches_the_program_as_an_error(spans: list[tuple[dict[str, Any], bool, bool]]) -> None:
    """Any value under any name, when a span begins or ends; the calls of others beside it are recorded."""
    processor = Traced()
    processor.call("chat", CURRENT.model([ASKED], ANSWER), at=(0, 1))
    for number, (attributes, parent, late) in enumerate(spans):
        span = bare_span(number, attributes, parent)
        processor.spans.on_start(span if not late else bare_span(number, {}, parent))
        processor.spans.on_end(span)
    rows = processor.rows()
    assert kinds(rows["agent-0"]).count("model") >= 1


def bare_span(number: int, attributes: dict[str, Any], parent: bool) -> Any:
    """Return what the SDK hands over, with any values in it: its own classes would refuse most."""
    return SimpleNamespace(
        name="span",
        get_span_context=lambda: SimpleNamespace(
            span_id=number + 2, trace_id=1, trace_flags=SimpleNamespace(sampled=True)
        ),
        parent=SimpleNamespace(span_id=number + 1) if parent else None,
        start_time=number + 1,
        end_time=number + 5,
        instrumentation_scope=SimpleNamespace(name=f"scope-{number % 2}"),
        attributes=attributes,
        events=[SimpleNamespace(name="gen_ai.choice", attributes=attributes)],
        status=SimpleNamespace(status_code=StatusCode.ERROR, description=None),
        dropped_attributes=0,
    )


def test_a_span_that_cannot_be_read_is_counted() -> None:
    """Not even one without anything that a span has raises."""
    traced = Traced()
    broken: Any = object()
    traced.spans.on_start(broken)
    traced.spans.on_end(broken)
    traced.spans.logs.on_emit(broken)
    assert traced.complaints() == {"failed": 3}


def test_names_that_a_stream_cannot_have_are_changed_or_left_out() -> None:
    """An empty or strange one is not a reason to lose a step."""
    traced = Traced()
    for at, name in enumerate(["a/b", "x\n", "ä" * 400]):
        traced.end(traced.begin(f"invoke_agent {name}", CURRENT.agent(name), at=at), at=at + 1)
    assert traced.rows().keys() == {"a%2Fb", "x_", "ä" * 127}
    with pytest.raises(ConfigError, match="run"):
        RecordSpans("a/b", kafka=False)


# --- the process ------------------------------------------------------------------------------------------------------


def test_spans_that_its_own_log_lines_make_are_not_taken() -> None:
    """A handler of logging that makes spans: no lock is waited for, nothing goes round in circles."""
    traced = Traced(span_limits=SpanLimits(max_span_attributes=4))

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
            traced.call("chat", CURRENT.model([ASKED], ANSWER), at=(0, 1), scope="handler")
            raise RuntimeError

    logger, handler = logging.getLogger("runbus.otel.processor"), Handler()
    logger.addHandler(handler)
    try:
        chat = traced.begin("chat", {"openinference.span.kind": "LLM"})
        traced.end(chat, OPENINFERENCE.model([ASKED], ANSWER), at=1)
    finally:
        logger.removeHandler(handler)
    assert kinds(traced.rows()["agent-0"]) == ["", "model", "env"]
    assert traced.complaints() == {"dropped attributes": 1, "failed": 1}


def test_a_lock_that_is_held_for_long_costs_a_span_and_not_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder may wait for this thread: that is counted."""
    monkeypatch.setattr("runbus.otel.processor._LONGEST_WAIT_S", 0.01)
    traced = Traced()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(traced.spans._lock.acquire).result()
        traced.call("chat", CURRENT.model([ASKED], ANSWER), at=(0, 1))
        other.submit(traced.spans._lock.release).result()
    assert traced.complaints() == {"failed": 2}


def _in_child(traced: Traced, agent: Any, pipe: Any) -> None:
    chat = traced.call("chat", CURRENT.model([ASKED], ANSWER), under=agent, at=(1, 2))
    found = traced.rows()
    pipe.send([(name, kinds(rows)) for name, rows in found.items()] + [chat.is_recording()])


def test_a_forked_child_records_its_own_calls_only() -> None:
    """What was open is the parent's, who ends it; no lock is inherited."""
    traced = Traced()
    agent = traced.begin("invoke_agent planner", CURRENT.agent("planner"))
    here, there = multiprocessing.Pipe()
    traced.spans._lock.acquire()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(traced, agent, there))
    child.start()
    traced.spans._lock.release()
    assert here.poll(60)
    assert here.recv() == [("agent-0", ["", "model", "env"]), False]
    child.join()
    for end in (here, there):
        end.close()
    traced.end(agent, at=3)
    assert kinds(traced.rows()["planner"]) == ["", "env"]


PROGRAM = """
    import atexit
    import sys
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import set_span_in_context
    from runbus.otel import RecordSpans
    from runbus.recorder import Recorder, RunBus

    def say():
        events = published.get_many(100)
        print(sum(event.batch().header.count for event in events if hasattr(event, "batch")))
        print([event.outcome for event in events if hasattr(event, "outcome")])

    atexit.register(say)  # the first that is registered is the last that is called
    bus = RunBus()
    published = bus.subscribe("test")
    if sys.argv[1] == "early":  # then the provider is shut down before the recorders hear of the end
        Recorder("run-2", bus=RunBus(), kafka=False).reset("go")
    provider = TracerProvider(shutdown_on_exit=sys.argv[1] == "early")
    provider.add_span_processor(RecordSpans("run-1", bus=bus, kafka=False))
    tracer = provider.get_tracer("mine")
    chat = {"gen_ai.operation.name": "chat"}
    root = set_span_in_context(tracer.start_span("root"))
    tracer.start_span("chat", root, attributes=chat).end()
    never_ended = tracer.start_span("chat", root, attributes=chat)
    tracer.start_span("chat", root, attributes=chat).end()
    raise ValueError("the program's own")
"""


@pytest.mark.parametrize("when", ["early", "never"])
def test_what_waits_when_the_program_ends_is_recorded_before_its_streams_end(when: str) -> None:
    """Also where nobody shuts the provider down; how the program ended is what its streams say."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), when], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split("\n")[:2] == ["4", "['failed']"], done.stderr


def test_after_shutdown_nothing_is_recorded_and_nothing_raises() -> None:
    """What comes still is counted."""
    traced = Traced()
    open_span = traced.begin("chat", {"gen_ai.operation.name": "chat"})
    traced.spans.shutdown()
    traced.spans.shutdown()
    traced.end(open_span, at=1)
    traced.call("other", {}, at=(1, 2))
    assert traced.spans.force_flush(1000)
    assert traced.complaints() == {"never ended": 1, "closed": 1}
    bus: RunBus = traced.bus
    assert traced.spans.stats()["agents"]["agent-0"]["produced"] == 0
    assert bus.position >= 0
