"""How much a processor keeps of what is not over yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What is over a limit is given up: written as far as it came, ended as truncated, and counted.

    Attributes:
        idle_s: seconds without any span of a trace or a conversation, after which it counts as never ended.
        late_s: seconds that the end of an agent's episode waits for calls of it that are open still.
        open_spans: spans that are not over, of all traces.
        held_calls: calls of one agent that wait for one that began before them; then the oldest is written without it.
        held_size: characters of the calls that wait, of all traces.
        conversations: of calls without an agent's span around them, which nothing ends.
    """

    idle_s: float = 3600.0
    late_s: float = 60.0
    open_spans: int = 20_000
    held_calls: int = 1000
    held_size: int = 64 * 1024 * 1024
    conversations: int = 1000
