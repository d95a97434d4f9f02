"""Runs agents of real frameworks with their real instrumentations, against a model on 127.0.0.1, and compares.

`python -m tests.integration.otel.frameworks NAME`, with a Python that has them: see NAMES.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from tests.integration.otel.pocket_server import CITIES, PocketServer
from tests.support.traced import Spoken, Traced

QUESTION = "The weather in Oslo and Rome?"
#: What the tool was called with, and what it answered.
used: list[tuple[str, str]] = []


def weather(city: str) -> str:
    """Say the weather.

    Args:
        city: where
    """
    used.append((city, f"rain in {city}"))
    return f"rain in {city}"


def openai_agents(url: str, provider: Any, _loggers: Any) -> None:
    """The OpenAI Agents SDK, as OpenInference traces it."""
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
    from openai import AsyncOpenAI
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
    model = OpenAIChatCompletionsModel(model="pocket", openai_client=AsyncOpenAI(base_url=url, api_key="none"))
    agent = Agent(name="planner", instructions="Be short.", tools=[function_tool(weather)], model=model)
    Runner.run_sync(agent, QUESTION)


def openai_agents_twice(url: str, provider: Any, loggers: Any) -> None:
    """The same, and its client is instrumented, too."""
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)
    openai_agents(url, provider, loggers)


def pydantic_ai(url: str, provider: Any, _loggers: Any, version: int = 5) -> None:
    """Pydantic AI, which traces itself."""
    from pydantic_ai import Agent
    from pydantic_ai.capabilities import Instrumentation
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    settings = InstrumentationSettings(tracer_provider=provider, version=version)
    model = OpenAIChatModel("pocket", provider=OpenAIProvider(base_url=url, api_key="none"))
    traced = [Instrumentation(settings=settings)]
    agent = Agent(model, name="planner", instructions="Be short.", capabilities=traced)
    agent.tool_plain(weather)
    agent.run_sync(QUESTION)


def pydantic_ai_2(url: str, provider: Any, loggers: Any) -> None:
    """The same, in the oldest of its formats."""
    pydantic_ai(url, provider, loggers, 2)


def langgraph(url: str, provider: Any, _loggers: Any) -> None:
    """LangGraph, as OpenInference traces LangChain: its agent has no name there."""
    from langchain_openai import ChatOpenAI
    from langgraph.prebuilt import create_react_agent
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)
    model = ChatOpenAI(model="pocket", base_url=url, api_key="none")
    graph = create_react_agent(model, [weather], name="planner", prompt="Be short.")
    graph.invoke({"messages": [("user", QUESTION)]}, {"configurable": {"thread_id": "talk-1"}})


def smolagents(url: str, provider: Any, _loggers: Any) -> None:
    """smolagents, as OpenInference traces it: its answer is a call of a tool, too."""
    from openinference.instrumentation.smolagents import SmolagentsInstrumentor
    from smolagents import OpenAIServerModel, ToolCallingAgent, tool

    SmolagentsInstrumentor().instrument(tracer_provider=provider)
    model = OpenAIServerModel("pocket", api_base=url, api_key="none")
    agent = ToolCallingAgent(
        tools=[tool(weather)], model=model, name="planner", description="weather", verbosity_level=0
    )
    agent.run(QUESTION)


def openai_client(url: str, provider: Any, loggers: Any) -> None:
    """OpenAI's client in a loop of its own, as OpenTelemetry's own package traces it: messages come as log records."""
    from openai import OpenAI
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider, logger_provider=loggers)
    client, tracer = OpenAI(base_url=url, api_key="none"), provider.get_tracer("my-loop")
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: list[Any] = [{"type": "function", "function": {"name": "weather"}}]
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    with tracer.start_as_current_span("invoke_agent planner", attributes=agent):
        while True:
            answer = client.chat.completions.create(model="pocket", messages=messages, tools=tools).choices[0].message
            messages.append(answer.model_dump(exclude_none=True))
            if not answer.tool_calls:
                break
            for call in answer.tool_calls:
                known = {"gen_ai.tool.name": "weather", "gen_ai.tool.call.id": call.id}
                with tracer.start_as_current_span("execute_tool weather", attributes=known) as span:
                    arguments = call.function.arguments
                    result = weather(**json.loads(arguments))
                    span.set_attribute("gen_ai.operation.name", "execute_tool")
                    span.set_attribute("gen_ai.tool.call.arguments", arguments)
                    span.set_attribute("gen_ai.tool.call.result", result)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


#: name -> how to run it, the agent that it is recorded as, complaints
NAMES: dict[str, tuple[Callable[[str, Any, Any], None], str, dict[str, int]]] = {
    "openai_agents": (openai_agents, "planner", {}),
    "openai_agents_twice": (openai_agents_twice, "planner", {"doubles": 2}),
    "pydantic_ai": (pydantic_ai, "planner", {}),
    "pydantic_ai_2": (pydantic_ai_2, "planner", {}),
    "langgraph": (langgraph, "agent-0", {}),
    "smolagents": (smolagents, "planner", {}),
    "openai_client": (openai_client, "planner", {}),
}


def main(name: str) -> None:
    """Run one and compare."""
    run, agent, complaints = NAMES[name]
    traced = Traced()
    trace.set_tracer_provider(traced.provider)
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"
    with PocketServer() as server:
        run(server.url, traced.provider, traced.loggers)
        rows = traced.rows()
        assert rows.keys() == {agent}, rows.keys()
        compare(rows[agent], server.answers)
    assert traced.complaints() == complaints, traced.complaints()


def compare(rows: list[Spoken], answers: list[dict[str, Any]]) -> None:
    """Compare one episode with what the model answered and what the tool was called with."""
    models = [spoken for spoken in rows if spoken.words.kind == "model"]
    tools = [spoken for spoken in rows if spoken.words.kind == "tool" and spoken.row.action["tool"] == "weather"]
    assert [spoken.row.action for spoken in models] == [as_recorded(answer) for answer in answers]
    assert [spoken.row.extras["llm.output_tokens"] for spoken in models] == [*range(1, len(answers) + 1)]
    cities = [json.dumps(spoken.row.action["arguments"]) for spoken in tools]
    called = {next(city for city in CITIES if city in text): result for text, result in zip(cities, tools, strict=True)}
    assert {city: spoken.row.observation for city, spoken in called.items()} == dict(used)
    assert len(tools) == len(used) == len(CITIES)
    assert {spoken.words.parent for spoken in tools} == {models[0].row.seq}
    assert QUESTION in json.dumps(rows[0].row.observation)
    assert [spoken.row.over for spoken in rows] == [(False, False)] * (len(rows) - 1) + [(True, False)]
    assert [spoken.row.step for spoken in rows] == [*range(len(rows))], "one episode"
    assert {spoken.words.status for spoken in rows[1:]} == {"ok"}


def as_recorded(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of the server as a row has it."""
    calls = [
        {"id": call["id"], "name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in answer.get("tool_calls", [])
    ]
    if calls:
        return {"role": "assistant", "tool_calls": calls}
    return {"role": "assistant", "content": answer["content"]}


if __name__ == "__main__":
    main(sys.argv[1])
    print("the same")
