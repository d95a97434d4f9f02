"""Puts the spans of traces in order: a call is written once all that began before it are over.

A span ends before the one around it does, and some say only at their end what they are. So a call waits while a span
that began before it is open among the same agent's, if that one is a call or may turn out to be one: it does not say
yet what it is, but its name does, or its instrumentation is known to say so late. What runs inside an agent's span is
an episode of that agent; what runs in none belongs to its trace, and a call with no span around it to its conversation.
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from runbus.otel.calls import HeldCall, SpanNode, merged, same_call, without_bulk
from runbus.otel.dialects import agent_of, kind_of
from runbus.otel.episodes import Ending, Episodes, SpanEpisode, Verdict
from runbus.otel.genai import OPERATIONS
from runbus.otel.limits import Limits
from runbus.otel.reading import Event, Kind, Reading, text
from runbus.otel.waiting import NEVER, Begun, Trace, Waiting
from runbus.recorder.complaints import Complaints

#: Log records that are kept for one span.
_EVENTS = 1000
#: Answers by whose id a second trace about them is known.
_ANSWERS = 1000


class Traces:
    """The traces of one process. Not thread safe: its caller has a lock.

    Args:
        episodes: where calls are written.
        limits: what is kept.
        complaints: is told what is wrong.
    """

    def __init__(self, episodes: Episodes, limits: Limits, complaints: Complaints) -> None:
        self._episodes = episodes
        self._limits = limits
        self._complaints = complaints
        self._traces: OrderedDict[int, Trace] = OrderedDict()  # that was touched longest ago first
        self._conversations: OrderedDict[tuple[str, str], tuple[SpanEpisode, float]] = OrderedDict()
        self._talking: dict[str, Waiting] = {}  # conversation of an agent's span that is not over
        self._closing: OrderedDict[Waiting, float] = OrderedDict()  # whose agent's span is over, since when
        self._late: set[str] = set()  # instrumentations that say at the end of a span what it is
        self._answers: OrderedDict[str, tuple[Waiting, HeldCall]] = OrderedDict()  # by id
        self._open = 0
        self._size = 0

    # --- what happens -------------------------------------------------------------------------------------------

    def begin(self, span: Begun, now: float) -> SpanNode:
        """Note that a span began."""
        node = self._begin(span, now)
        self._expire(now)
        return node

    def _begin(self, span: Begun, now: float) -> SpanNode:
        trace = self._touched(span.trace, now)
        up = trace.nodes.get(span.parent) if span.parent is not None else None
        among = trace.top if up is None else up.below
        kind, hinted = kind_of(span.attributes), span.name.partition(" ")[0] in OPERATIONS
        node = SpanNode(span.id, span.trace, up, span.start, span.scope, kind, hinted, among, among)
        node.exception = span.exception
        trace.nodes[span.id] = node
        trace.open += 1
        self._open += 1
        among.open[node] = None
        if up is not None:
            up.children += 1
        name = agent_of(span.attributes, span.name) if node.kind == "agent" else ""
        if name:
            self._take_as_agent(trace, node, name, text(span.attributes, "gen_ai.conversation.id", "session.id"))
        return node

    def end(self, span: Begun, end: int, reading: Reading, dropped: int, now: float) -> None:
        """Note that a span is over, and write what waited for it alone."""
        trace = self._touched(span.trace, now)
        node = trace.nodes.get(span.id) or self._begin(span, now)
        if not node.open:
            return
        if reading.kind and not node.kind:
            self._late.add(node.scope)
        node.kind, node.open = reading.kind or node.kind, False
        trace.open -= 1
        self._open -= 1
        node.among.open.pop(node, None)
        if node.up is None:
            trace.ending = _ending(reading)
        if node.kind == "agent":
            self._end_agent(trace, node, reading)
        elif node.is_call():
            size = sum(map(len, (value for value in span.attributes.values() if isinstance(value, str))))
            self._hold(trace, HeldCall(reading, node, end, dropped, size, (node.id,)))
        self._release(node.among)
        if node.below is not node.among:
            self._release(node.below)
        self._forget(trace, node)
        if trace.open == 0:
            self._finish_trace(trace)
        self._expire(now)

    def said(self, span: int, trace: int, event: Event) -> bool:
        """Note what was said inside a span; return whether that is still to come in its reading."""
        known = self._traces.get(trace)
        node = known.nodes.get(span) if known is not None else None
        if node is None or not node.open or len(node.events) >= _EVENTS:
            return False
        node.events.append(event)
        return True

    def known_of(self, span: int, trace: int) -> tuple[list[Event], Kind, int]:
        """Return what was said inside a span so far by log records, what kind it began as, and `Begun.exception`."""
        known = self._traces.get(trace)
        node = known.nodes.get(span) if known is not None else None
        return (list(node.events), node.kind, node.exception) if node is not None else ([], "", 0)

    def judge(self, span: int, trace: int, answer: str, verdict: Verdict) -> None:
        """Record a score about a span, or the call around it, or the answer that has an id."""
        known = self._traces.get(trace)
        node = known.nodes.get(span) if known is not None else None
        while node is not None and node.kind not in {"model", "tool", "agent"} and node.up is not None:
            node = node.up
        about = span if node is None else node.id
        keys: list[int | str] = [key for key in (about, answer) if key]
        self._episodes.judge(keys, verdict)

    def close(self) -> None:
        """Write everything that waits; what is open is given up."""
        while self._traces:
            self._give_up(next(iter(self._traces.values())), "when the program ended")
        while self._conversations:
            self._conversations.popitem(last=False)[1][0].end(Ending("cancelled", "when the program ended"))
        self._episodes.give_up_verdicts()

    # --- agents -------------------------------------------------------------------------------------------------

    def _take_as_agent(self, trace: Trace, node: SpanNode, name: str, conversation: str) -> bool:
        """Give an agent's span an episode; False if it is that of the agent around it, as another one saw it."""
        around = node.up
        while around is not None and not around.named:
            around = around.up
        caller = around.below.episode if around is not None else None
        if caller is not None and caller.agent == name and around is not None and around.scope != node.scope:
            node.kind, node.double = "container", True
            self._double("agents")
            return False
        labels = {"trace": f"{trace.id:032x}"}
        labels |= {"conversation": conversation} if conversation else {}
        labels |= {"caller": caller.agent} if caller is not None else {}
        episode = SpanEpisode(self._episodes, name, labels, caller.agent if caller is not None else "", node.id)
        node.named = True
        node.below = Waiting(trace, episode, conversation)
        trace.agents[node.below] = None
        if conversation:
            self._talking.setdefault(conversation, node.below)
        return True

    def _end_agent(self, trace: Trace, node: SpanNode, reading: Reading) -> None:
        is_new = not node.named and not node.double and reading.name != ""
        if is_new and self._take_as_agent(trace, node, reading.name, reading.conversation):
            self._adopt(node)
        if node.named:
            node.below.ending = _ending(reading)
            self._closing[node.below] = trace.touched
        else:
            node.kind = "container"

    @staticmethod
    def _adopt(node: SpanNode) -> None:
        """Let what is below a span, of which only now is known that it is an agent's, wait there."""
        among, below = node.among, node.below
        below.calls = [call for call in among.calls if call.node.is_in(node)]
        among.calls = [call for call in among.calls if not call.node.is_in(node)]
        for other in [other for other in among.open if other.is_in(node)]:
            del among.open[other]
            below.open[other] = None
            if other.below is among:
                other.below = below
            other.among = below

    # --- calls --------------------------------------------------------------------------------------------------

    def _hold(self, trace: Trace, call: HeldCall) -> None:
        waiting = self._place_of(trace, call)
        elsewhere = self._seen_elsewhere(waiting, call)
        if elsewhere is not None:
            waiting.instead = elsewhere if waiting.episode is not None else None
            waiting = elsewhere
        if self._is_double(waiting, call):
            return
        waiting.calls.append(call)
        self._size += call.size
        if waiting is not call.node.among:
            self._release(waiting)
        if len(waiting.calls) > self._limits.held_calls:
            self._complaints.say(
                "order", "over %d calls wait for one that began before: written without it", self._limits.held_calls
            )
            self._write(waiting, min(waiting.calls, key=lambda held: held.start))

    def _place_of(self, trace: Trace, call: HeldCall) -> Waiting:
        """Return where a call waits: a thread that lost its context may still say the conversation."""
        waiting = call.node.among
        if waiting is trace.top and call.reading.conversation:
            talking = self._talking.get(call.reading.conversation)
            episode = talking.episode if talking is not None else None
            if talking is not None and episode is not None and call.reading.agent in {"", episode.agent}:
                waiting = talking
        while waiting.instead is not None and not waiting.instead.over:
            waiting = waiting.instead
        if waiting.over and waiting.episode is not None:
            said = "a call of %s ended when the episode of %s was over: it has an episode of its own"
            self._complaints.say("late", said, call.node.scope, waiting.episode.agent, level=logging.WARNING)
            call.reading.agent = waiting.episode.agent
            return trace.top
        return waiting

    def _seen_elsewhere(self, waiting: Waiting, call: HeldCall) -> Waiting | None:
        """Return where another instrumentation's span about this call of a model is, if under an agent of its own."""
        id_ = call.reading.id
        if not id_ or call.reading.kind != "model":
            return None
        place, other = self._answers.get(id_, (waiting, call))
        if id_ not in self._answers or not same_call(call, other):
            self._answers[id_] = waiting, without_bulk(call)
            if len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        elif place is not waiting and not place.over:
            return place
        elif place is not waiting:
            apart = "a call of %s was recorded before, from another trace, and is recorded twice: leave one of the "
            self._complaints.say(
                "doubles apart", apart + "instrumentations out", call.node.scope, level=logging.WARNING
            )
        return None

    def _is_double(self, waiting: Waiting, call: HeldCall) -> bool:
        for at, other in enumerate(waiting.calls):
            if same_call(call, other):
                both = waiting.calls[at] = merged(call, other)
                self._size += both.size - other.size
                self._double("calls")
                return True
        for other in waiting.written:
            if same_call(call, other):
                self._episodes.also(other.spans[0], call.spans)
                self._double("calls")
                return True
        return False

    def _double(self, what: str) -> None:
        text = "two instrumentations see the same %s: each is recorded once. Leave one of them out, and it costs less"
        self._complaints.say("doubles", text, what, level=logging.WARNING)

    def _release(self, waiting: Waiting) -> None:
        """Write the calls that wait for nobody, in the order in which they began; and the end, if it is one."""
        bar = waiting.waits_for(self._late)
        for call in sorted((call for call in waiting.calls if call.start < bar), key=lambda call: call.start):
            self._write(waiting, call)
        if waiting.ending is not None and bar == NEVER:
            self._finish(waiting)

    def _write(self, waiting: Waiting, call: HeldCall) -> None:
        waiting.calls.remove(call)
        waiting.written.append(without_bulk(call))
        self._size -= call.size
        (waiting.episode or self._episode_of(waiting.trace, call.reading, alone=call.node.up is None)).write(call)
        if call.reading.cut:
            cut = "messages of %s were cut by a limit of the SDK: raise OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"
            self._complaints.say("cut messages", cut, call.node.scope, level=logging.WARNING)
        if call.dropped:
            text = (
                "spans of %s lost attributes to the limits of the SDK (%d of one): set OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
            )
            self._complaints.say("dropped attributes", text, call.node.scope, call.dropped, level=logging.WARNING)

    def _episode_of(self, trace: Trace, reading: Reading, *, alone: bool) -> SpanEpisode:
        """Return the episode of a call that is in no agent's span: of its trace, or, without any span around, of its
        conversation, if it says one.
        """
        labels = {"trace": f"{trace.id:032x}"}
        labels |= {"conversation": reading.conversation} if reading.conversation else {}
        if not alone or not reading.conversation:
            found = trace.episodes.get(reading.agent)
            if found is None:
                found = trace.episodes[reading.agent] = SpanEpisode(self._episodes, reading.agent, labels)
            return found
        key = (reading.agent, reading.conversation)
        known = self._conversations.pop(key, None)
        episode = SpanEpisode(self._episodes, reading.agent, labels) if known is None else known[0]
        self._conversations[key] = episode, trace.touched
        return episode

    # --- ends ---------------------------------------------------------------------------------------------------

    def _finish(self, waiting: Waiting) -> None:
        for call in sorted(waiting.calls, key=lambda call: call.start):
            self._write(waiting, call)
        waiting.over = True
        waiting.written.clear()
        waiting.trace.agents.pop(waiting, None)
        self._closing.pop(waiting, None)
        if self._talking.get(waiting.conversation) is waiting:
            del self._talking[waiting.conversation]
        episode, ending = waiting.episode, waiting.ending or Ending()
        if episode is not None and (episode.begun or waiting.instead is None):
            episode.end(ending)

    def _finish_trace(self, trace: Trace) -> None:
        for waiting in list(trace.agents):
            self._finish(waiting)
        self._release(trace.top)
        for episode in trace.episodes.values():
            episode.end(trace.ending)
        trace.top.over = True
        trace.top.written.clear()
        del self._traces[trace.id]

    def _forget(self, trace: Trace, node: SpanNode | None) -> None:
        while node is not None and not node.open and node.children == 0:
            trace.nodes.pop(node.id, None)
            node = node.up
            if node is not None:
                node.children -= 1

    def _give_up(self, trace: Trace, why: str) -> None:
        """Write what waits in a trace without what is open in it, and end its episodes as cut."""
        cut = Ending("cancelled", why)
        self._open -= trace.open
        trace.open = 0
        for waiting in [*trace.agents, trace.top]:
            self._leave_open(waiting, why)
            waiting.ending = waiting.ending or (cut if waiting.episode is not None else None)
        trace.ending = cut
        self._finish_trace(trace)

    def _leave_open(self, waiting: Waiting, why: str) -> None:
        """Wait no longer for what is open."""
        for node in waiting.open:
            text = "a span of %s had not ended %s: if it was a call, it is not recorded"
            self._complaints.say("never ended", text, node.scope, why, level=logging.WARNING)
        waiting.open.clear()

    def _touched(self, id_: int, now: float) -> Trace:
        trace = self._traces.get(id_)
        if trace is None:
            trace = self._traces[id_] = Trace(id_, now)
        trace.touched = now
        self._traces.move_to_end(id_)
        return trace

    def _expire(self, now: float) -> None:
        """Give up what is over the limits, what was touched longest ago first."""
        limits = self._limits
        while self._closing:
            waiting, since = next(iter(self._closing.items()))
            if now - since <= limits.late_s:
                break
            self._leave_open(waiting, f"{limits.late_s:g} s after the end of its agent")
            self._finish(waiting)
        while self._traces:
            oldest = next(iter(self._traces.values()))
            if now - oldest.touched > limits.idle_s:
                self._give_up(oldest, f"after {limits.idle_s:g} s without anything new")
            elif self._open > limits.open_spans:
                self._give_up(oldest, f"when more than {limits.open_spans} spans were open")
            elif self._size > limits.held_size:
                self._give_up(oldest, f"when more than {limits.held_size} characters waited")
            else:
                break
        while self._conversations:
            key, (episode, touched) = next(iter(self._conversations.items()))
            if now - touched <= limits.idle_s and len(self._conversations) <= limits.conversations:
                break
            del self._conversations[key]
            episode.end(Ending("ok", "nothing more was said"))


def _ending(reading: Reading) -> Ending:
    stop = reading.error or ("" if reading.status == "ok" else reading.status)
    return Ending(reading.status, stop, reading.answer, reading.asked)
