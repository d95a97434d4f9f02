"""Records agents by the spans that they make already. `python examples/traced_agents.py`, then

runbus query "SELECT agent_id, env, step, kind, action_text, observation_text FROM steps
    WHERE run_id = 'traced-agents' ORDER BY agent_id, env, episode, step"

The spans are OpenTelemetry's: here the program makes them, elsewhere an instrumentation does. With the name of a file,
what the agents did is written there, as they saw it themselves.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from runbus.otel import RecordSpans

provider = TracerProvider()
provider.add_span_processor(RecordSpans(run="traced-agents"))
tracer = provider.get_tracer("my-agents")

Message = dict[str, Any]
#: What agents did: name, question, and for each call what was asked, answered, and how it went.
ledger: list[dict[str, Any]] = []


def chat(messages: list[Message], done: list[Any]) -> Message:
    """Ask the model, which wants to know the weather of a city, once."""
    with tracer.start_as_current_span("chat pocket", kind=SpanKind.CLIENT) as span:
        if messages[-1]["role"] == "tool":
            answer: Message = {
                "role": "assistant",
                "parts": [{"type": "text", "content": messages[-1]["parts"][0]["response"]}],
            }
        else:
            city = messages[-1]["parts"][0]["content"].split()[-1]
            call = {"type": "tool_call", "id": f"call-{city}", "name": "weather", "arguments": {"city": city}}
            answer = {"role": "assistant", "parts": [call]}
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "pocket",
                "gen_ai.input.messages": json.dumps(messages),
                "gen_ai.output.messages": json.dumps([answer]),
                "gen_ai.usage.input_tokens": len(json.dumps(messages)),
                "gen_ai.usage.output_tokens": len(json.dumps(answer)),
            }
        )
        done.append(["model", answer["parts"][0].get("content", ""), len(json.dumps(answer)), "ok"])
        return answer


def weather(city: str, call: str, done: list[Any]) -> str:
    """Look out of the window; there is none on Mars."""
    with tracer.start_as_current_span("execute_tool weather") as span:
        known = {"gen_ai.tool.name": "weather", "gen_ai.tool.call.id": call}
        span.set_attributes({"gen_ai.operation.name": "execute_tool", **known})
        span.set_attribute("gen_ai.tool.call.arguments", json.dumps({"city": city}))
        result = f"rain in {city}"
        if city == "Mars":
            result = "LookupError: there is no window"
            span.set_attribute("error.type", "LookupError")
            span.set_status(Status(StatusCode.ERROR, result))
        else:
            span.set_attribute("gen_ai.tool.call.result", result)
        done.append(["tool", city, result, "error" if city == "Mars" else "ok"])
        return result


def ask(agent: str, city: str) -> None:
    """Let an agent answer one question: an episode."""
    asked = f"The weather in {city}"
    done: list[Any] = []
    begun = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
    with tracer.start_as_current_span(f"invoke_agent {agent}", attributes=begun):
        messages: list[Message] = [{"role": "user", "parts": [{"type": "text", "content": asked}]}]
        messages.append(chat(messages, done))
        call = messages[-1]["parts"][0]
        result = weather(city, call["id"], done)
        messages.append(
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": call["id"], "response": result}]}
        )
        chat(messages, done)
    ledger.append({"agent": agent, "asked": asked, "done": done})


with ThreadPoolExecutor(4) as pool:
    for number, city in enumerate(["Oslo", "Rome", "Mars", "Lima", "Bern", "Kyiv"]):
        pool.submit(ask, f"agent-{number % 2}", city)
provider.shutdown()
if len(sys.argv) > 1:
    Path(sys.argv[1]).write_text(json.dumps(ledger), encoding="utf-8")
