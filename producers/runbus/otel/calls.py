"""Keeps the spans of a trace as a tree, and knows when two of them are about one call. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runbus.otel.reading import Event, Kind, Reading
from runbus.recorder.absent import ABSENT

if TYPE_CHECKING:
    from runbus.otel.waiting import Waiting

_CALLS = frozenset({"model", "tool", "judge"})


@dataclass(slots=True, eq=False)
class SpanNode:
    """One span that began, until it and all below it have ended.

    Attributes:
        id, trace: as OpenTelemetry has them.
        up: the span above it; None = it is not known here.
        start: nanoseconds since the epoch.
        scope: the instrumentation that made it.
        kind: "" = nothing of ours, or not said yet.
        hinted: its name says that it is about something of ours.
        named: it is an agent's, and has an episode of its own.
        double: it is an agent's that the span around it is about, too.
        exception: id of the exception that was handled when it began; 0 = none.
        among: where the calls of its agent wait, this one too if it is a call.
        below: where those below it wait.
        children: how many below it are kept.
        events: what was said inside it, by log records.
    """

    id: int
    trace: int
    up: SpanNode | None
    start: int
    scope: str
    kind: Kind
    hinted: bool
    among: Waiting
    below: Waiting
    named: bool = False
    double: bool = False
    exception: int = 0
    open: bool = True
    children: int = 0
    events: list[Event] = field(default_factory=list)

    def is_call(self) -> bool:
        """Return whether it is a step by itself."""
        return self.kind in _CALLS

    def is_in(self, other: SpanNode) -> bool:
        """Return whether it is somewhere below another span."""
        node = self.up
        while node is not None and node is not other:
            node = node.up
        return node is other


@dataclass(slots=True, eq=False)
class HeldCall:
    """A call that is over, and waits for those that began before it.

    Attributes:
        reading: what its span says.
        node: its span.
        end: nanoseconds since the epoch.
        dropped: attributes that the limits of the SDK threw away.
        size: characters of its content, roughly.
        spans: ids of the spans that are about it.
    """

    reading: Reading
    node: SpanNode
    end: int
    dropped: int = 0
    size: int = 0
    spans: tuple[int, ...] = ()

    @property
    def start(self) -> int:
        """When it began."""
        return self.node.start


def same_call(one: HeldCall, other: HeldCall) -> bool:
    """Return whether two spans are about one call, as two instrumentations saw it.

    They are of two instrumentations, and one is inside the other with nothing between them that calls: models, or
    tools of one name. Or they are at the same time, and agree in what only one call says: its id, its arguments, its
    answer, or its tokens where nothing else is there. Without any such sign they are two.
    """
    a, b = one.reading, other.reading
    if a.kind != b.kind or one.node.scope == other.node.scope:
        return False
    named_alike = a.kind == "model" or a.name == b.name
    if named_alike and (_nested(one.node, other.node) or _nested(other.node, one.node)):
        return True
    if one.start > other.end or other.start > one.end:
        return False
    if a.id and b.id:
        return a.id == b.id
    return a.name == b.name and (_agree_in_content(a, b) or _agree_in_tokens(a, b))


def merged(one: HeldCall, other: HeldCall) -> HeldCall:
    """Return one call for two that are the same: the one that says more, or else the outer, with what it lacks."""
    best, rest = sorted((one, other), key=lambda call: (call.reading.answer is ABSENT, call.start))
    a, b = best.reading, rest.reading
    reading = replace(
        a,
        asked=b.asked if a.asked is ABSENT else a.asked,
        id=a.id or b.id,
        calls=a.calls or b.calls,
        usage={**b.usage, **a.usage},
        cost_usd=b.cost_usd if a.cost_usd is None else a.cost_usd,
        agent=a.agent or b.agent,
        conversation=a.conversation or b.conversation,
    )
    outer = min(one, other, key=lambda call: call.start)
    return HeldCall(reading, outer.node, max(one.end, other.end), best.dropped, best.size, (*one.spans, *other.spans))


def without_bulk(call: HeldCall) -> HeldCall:
    """Return a call with what tells that another span is about it, and without what may be large: the messages that a
    model was sent, the result of a tool.
    """
    reading = call.reading
    slim = replace(reading, asked=ABSENT) if reading.kind == "model" else replace(reading, answer=ABSENT)
    return HeldCall(slim, call.node, call.end, spans=call.spans)


def _nested(inner: SpanNode, outer: SpanNode) -> bool:
    node = inner.up
    while node is not None and node is not outer:
        if node.is_call() or node.named:
            return False
        node = node.up
    return node is not None


def _agree_in_content(a: Reading, b: Reading) -> bool:
    if a.kind == "tool":
        return a.asked is not ABSENT and a.asked == b.asked
    return a.answer is not ABSENT and a.answer == b.answer


def _agree_in_tokens(a: Reading, b: Reading) -> bool:
    counted = {"input_tokens", "output_tokens"}
    if a.kind != "model" or ABSENT not in (a.answer, b.answer) or not counted <= a.usage.keys() & b.usage.keys():
        return False
    return all(a.usage[name] == b.usage[name] for name in counted)
