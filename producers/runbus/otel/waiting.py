"""Keeps the calls that are over and wait for others, and the traces that they are in. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbus.otel.calls import HeldCall, SpanNode
from runbus.otel.episodes import Ending, SpanEpisode

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Waiting:
    """The calls of one agent's span, or of a trace outside of any, that wait to be written.

    Attributes:
        episode: of the agent's span; None = those of the trace, by conversation.
        open: spans that began and are not over.
        calls: that are over and not written.
        written: the newest that were.
        ending: how the agent's span ended.
        instead: where these calls go, as another instrumentation saw the same ones there.
        over: the episode has ended, and takes no more calls.
    """

    trace: Trace
    episode: SpanEpisode | None = None
    conversation: str = ""
    open: dict[SpanNode, None] = field(default_factory=dict)
    calls: list[HeldCall] = field(default_factory=list)
    written: deque[HeldCall] = field(default_factory=lambda: deque(maxlen=64))
    ending: Ending | None = None
    instead: Waiting | None = None
    over: bool = False

    def waits_for(self, late: Collection[str]) -> float:
        """Return when the first span began that its calls have to wait for; NEVER if there is none.

        Args:
            late: instrumentations that say at the end of a span what it is.
        """
        return min((node.start for node in self.open if _may_be_a_call(node, late)), default=NEVER)


class Trace:
    """What is kept of a trace while a span of it is open, or waits."""

    def __init__(self, id_: int, now: float) -> None:
        self.id = id_
        self.touched = now
        self.nodes: dict[int, SpanNode] = {}
        self.open = 0
        self.top = Waiting(self)
        self.agents: dict[Waiting, None] = {}
        self.episodes: dict[str, SpanEpisode] = {}  # of calls that no agent's span is around, by agent
        self.ending = Ending()


@dataclass(frozen=True, slots=True)
class Begun:
    """A span as it is when it begins.

    Attributes:
        exception: id of the exception that the thread was handling; 0 = none.
    """

    id: int
    trace: int
    parent: int | None
    start: int
    scope: str
    name: str
    attributes: Mapping[str, Any]
    exception: int = 0


def _may_be_a_call(node: SpanNode, late: Collection[str]) -> bool:
    """Return whether an open span is a call, may turn out to be one, or an agent whose name is not known."""
    if node.kind == "agent":
        return not node.named
    return node.is_call() or (not node.kind and (node.hinted or node.scope in late))
