"""A model on 127.0.0.1 that speaks OpenAI's chat API: it asks for the weather of two cities, then answers.

It keeps what it answered: the ledger that spans are compared with.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

CITIES = ("Oslo", "Rome")


class PocketServer:
    """Serves while it is entered.

    Attributes:
        answers: the messages that it answered with, in order.
    """

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            """Answers one request after the other."""

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                """Answer."""
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                message = _answer(asked, len(answers))
                answers.append(message)
                body = json.dumps(_completion(asked, message, len(answers))).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _answer(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the next message: calls of the tool, or the answer, by the tool that smolagents has for it."""
    tools = [tool["function"]["name"] for tool in asked.get("tools", [])]
    if "rain in" not in json.dumps(asked["messages"]) and "weather" in tools:
        return _calling([(f"call_{city}_{number}", "weather", {"city": city}) for city in CITIES])
    if "final_answer" in tools:
        return _calling([(f"call_end_{number}", "final_answer", {"answer": "Wet."})])
    return {"role": "assistant", "content": "Wet."}


def _calling(calls: list[tuple[str, str, dict[str, str]]]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id_, name, arguments in calls
        ],
    }


def _completion(asked: dict[str, Any], message: dict[str, Any], number: int) -> dict[str, Any]:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": asked["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 100 + number, "completion_tokens": number, "total_tokens": 100 + 2 * number},
    }
