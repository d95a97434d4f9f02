"""Reads what a span says, in the dialect that its attributes are in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from runbus.llm.call import TIMEOUTS
from runbus.recorder.absent import ABSENT
from runbus.recorder.outcome import CANCELLED
from runbus.recorder.row_words import Status

#: What a span is about: nothing of ours, somebody who acts, a call, or something that only holds others together.
Kind = Literal["", "agent", "model", "tool", "judge", "container"]
Attributes = Mapping[str, Any]


class Event(NamedTuple):
    """Something that was said inside a span: an event of it, or a log record."""

    name: str
    attributes: Attributes
    body: Any = None


@dataclass(slots=True)
class Reading:
    """What a span says.

    Attributes:
        kind: what it is about.
        name: of the agent or the tool, or the model's.
        agent: who acts, if the span of a call says it.
        conversation: that it belongs to.
        asked: the messages that a model got, or the arguments of a tool; ABSENT if they are not there.
        answer: of the model (a message), or the result; likewise.
        id: that the provider gave to the answer, or to the call of a tool.
        calls: ids of the tool calls that the answer asks for.
        usage: tokens, as `runbus.llm` reads them.
        cost_usd: what it cost, if that is said.
        status: how it went.
        error: why not, in words.
        cut: its messages are JSON that a limit cut off.
    """

    kind: Kind = ""
    name: str = ""
    agent: str = ""
    conversation: str = ""
    asked: Any = ABSENT
    answer: Any = ABSENT
    id: str = ""
    calls: tuple[str, ...] = ()
    usage: dict[str, Any] = field(default_factory=dict)
    cost_usd: float | None = None
    status: Status = "ok"
    error: str = ""
    cut: bool = False


def text(attributes: Attributes, *names: str) -> str:
    """Return the first of these attributes that is a text with something in it."""
    for name in names:
        value = attributes.get(name)
        if value and isinstance(value, str):
            return value
    return ""


def first(attributes: Attributes, *names: str) -> Any:  # noqa: ANN401 - any value of an attribute
    """Return the first of these attributes that is there; ABSENT if none is."""
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return value
    return ABSENT


def numbers(attributes: Attributes, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return numbers by the name that `runbus.llm` knows, each the first of its attributes that is there."""
    found = {name: first(attributes, *sources) for name, sources in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def outcome(failed: bool, attributes: Attributes, events: Sequence[Event], description: str) -> tuple[Status, str]:
    """Return how a span went, and why not."""
    said = next((event.attributes for event in events if event.name == "exception"), {})
    kind = text(attributes, "error.type") or (text(said, "exception.type") if failed else "")
    if not failed and not kind:
        return "ok", ""
    message = text(said, "exception.message") or description
    why = message if not kind or message.startswith(kind) else f"{kind}: {message}" if message else kind
    short = kind.rpartition(".")[2]
    if short in CANCELLED or short.lower() == "cancelled":
        return "cancelled", why
    return ("timeout" if short in TIMEOUTS or short.lower() == "timeout" else "error"), why
