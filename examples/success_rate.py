"""How often each agent succeeds, over its last 100 episodes: a stream app of your own.

    RUNBUS_STREAM_APPS=success-rate runbus topics apply
    runbus stream-app success_rate:app          # in the folder of this file

An episode that ends with a positive reward is a success. Each end writes one line of JSON to the topic `success-rate`,
once, whoever is killed: `{"run": ..., "agent": ..., "attempt": ..., "episodes": 7, "successes": 3}`, the successes
among the last 100 of these episodes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from runbus.kafka.model import StreamId
from runbus.kafka.topics import stream_key
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import RunEvent
from runbus.schemas.sequence import SequenceTracker
from runbus.streams.api import NOTHING, At, Change, Effects, Emission, stream_app

LAST = 100  # episodes
FORGET_MS = 7 * 24 * 3_600_000  # a stream that is silent this long is forgotten: the state stays bounded
LOOK_MS = 60_000  # how often to look for such streams


@dataclass
class Agent:
    """What is known of one stream."""

    sequence: SequenceTracker = field(default_factory=SequenceTracker)  # which steps came: some are sent again
    episodes: int = 0
    newest: list[bool] = field(default_factory=list)
    seen_ms: int = 0  # by the broker's clock

    def encode(self) -> bytes:
        """Return it as the state keeps it."""
        return json.dumps([self.sequence.encode().hex(), self.episodes, self.newest, self.seen_ms]).encode()

    @classmethod
    def decode(cls, value: bytes) -> Agent:
        """Return what `encode` wrote."""
        sequence, *counts = json.loads(value)
        return cls(SequenceTracker.decode(bytes.fromhex(sequence)), *counts)

    def take(self, batch: StepBatch) -> int:
        """Count the episodes that end in these steps; return how many those are."""
        columns, fresh = batch.columns, self.sequence.take(batch.header.first_seq, batch.header.count).fresh
        ends = (columns.terminated | columns.truncated) != 0
        rows = np.flatnonzero(ends if fresh is None else ends & fresh)
        self.newest += [bool(reward > 0) for reward in columns.reward[rows]]
        self.episodes += len(rows)
        return len(rows)


class SuccessRate:
    """The core: one a partition, without Kafka, clock or thread. What it must not forget is in `changes`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._agents: dict[bytes, Agent] = {}
        self._changed: set[bytes] = set()
        self._look_ms = 0

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one entry of the state back."""
        self._agents[key] = Agent.decode(value)

    def apply(self, batch: StepBatch, at: At) -> Effects:
        """Take one record."""
        header = batch.header
        stream = StreamId(header.run_id, header.agent_id, header.attempt)
        key = str(stream).encode()
        agent = self._agents.setdefault(key, Agent())
        agent.seen_ms = at.watermark_ms
        self._changed.add(key)
        ended = agent.take(batch)
        first = agent.episodes - ended + 1
        emissions = [self._emission(stream, agent, number) for number in range(first, agent.episodes + 1)]
        agent.newest = agent.newest[-LAST:]
        return Effects(tuple(emissions))

    def _emission(self, stream: StreamId, agent: Agent, number: int) -> Emission:
        """Return what is said once episode `number` has ended."""
        until = len(agent.newest) - (agent.episodes - number)
        successes = sum(agent.newest[max(0, until - LAST) : until])
        said = {
            "run": stream.run_id,
            "agent": stream.agent_id,
            "attempt": stream.attempt,
            "episodes": number,
            "successes": successes,
        }
        return Emission(app.output, stream_key(stream.run_id, stream.agent_id), json.dumps(said).encode())

    def end(self, event: RunEvent, appended_ms: int, at: At) -> Effects:
        """Take the end of a stream: nothing follows from it here."""
        return NOTHING

    def tick(self, at: At) -> Effects:
        """Let time pass."""
        if at.watermark_ms >= self._look_ms:
            self._look_ms = at.watermark_ms + LOOK_MS
            silent = [key for key, agent in self._agents.items() if agent.seen_ms < at.watermark_ms - FORGET_MS]
            for key in silent:
                del self._agents[key]
                self._changed.add(key)
        return NOTHING

    def changes(self) -> list[Change]:
        """Return what differs from what was returned before."""
        changed, self._changed = self._changed, set()
        found = ((key, self._agents.get(key)) for key in changed)
        return [Change(key, None if agent is None else agent.encode()) for key, agent in found]

    def size(self) -> dict[str, int]:
        """Return what is held, for the metric runbus_state_entries."""
        return {"streams": len(self._agents)}


app = stream_app("success-rate", SuccessRate)
