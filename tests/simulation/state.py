"""Holds all state of one simulation but the sinks, and checks it at every commit and at the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import TopicPartition
from runbus.sink.memory import MemoryGroup, MemoryLog, MemoryStore
from runbus.sink.records import read
from runbus.sink.routes import ROUTES
from tests.simulation.profile import Profile
from tests.simulation.servers import Broker, StoreServer
from tests.simulation.values import LearningRegistry, ProducedValue, run_value, step_value

if TYPE_CHECKING:
    from tests.simulation.wire import Wire

TOPICS = {route.topic: route for route in ROUTES if route.topic in ("steps", "runs")}
_SESSION_S = 10.0


class Violation(Exception):
    """The promise was broken."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One partition of one topic that existed under one id."""

    position: TopicPartition
    topic_id: str


@dataclass(slots=True)
class SimulationState:
    """Holds the log, the group, the store, and what was produced."""

    profile: Profile
    rng: random.Random
    log: MemoryLog = field(default_factory=MemoryLog)
    tables: MemoryStore = field(default_factory=lambda: MemoryStore(list(TOPICS.values())))
    registry: LearningRegistry = field(default_factory=LearningRegistry)
    broker: Broker = field(default_factory=Broker)
    produced: dict[Incarnation, dict[int, ProducedValue]] = field(default_factory=lambda: defaultdict(dict))
    deleted: set[str] = field(default_factory=set)  # ids of topics that are gone
    seen: dict[str, Wire] = field(default_factory=dict)
    last_seen: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    began: dict[Incarnation, int] = field(default_factory=dict)  # where the log began when the group began with it
    calm: bool = False
    retried: bool = False  # everything that can be read now was retried
    group: MemoryGroup = field(init=False)
    server: StoreServer = field(init=False)
    _checked: dict[Incarnation, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _next: Counter[TopicPartition] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.group = MemoryGroup(self.log, {"steps": self.profile.partitions, "runs": 1})
        self.server = StoreServer(self.tables, self.rng)
        for topic in TOPICS:
            self.log.topic_ids[topic] = f"{topic}-1"

    def now(self) -> float:
        """Return virtual seconds."""
        return asyncio.get_running_loop().time()

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task that outlives its process."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def positions(self) -> list[TopicPartition]:
        """All partitions."""
        return [TopicPartition("steps", p) for p in range(self.profile.partitions)] + [TopicPartition("runs", 0)]

    # --- changes of the log ---------------------------------------------------------------------------------------

    def produce(self) -> None:
        """Append a record to one of the partitions."""
        position = self.rng.choice(self.positions)
        number, offset = self._next[position], self.log.high(position)
        self._next[position] += 1
        if position.topic == "steps":
            made = step_value(self.rng, number, self.profile.unstorable, learned=self.profile.learned)
        else:
            made = run_value(number)
            offset += self.rng.random() < 0.2  # a transaction marker stands in between
        record = read(offset, b"k", made.value, int(self.now() * 1000), batched=position.topic == "steps")
        self.log.records[position].append(record)
        self.produced[self.incarnation(position)][offset] = made

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again; the group may or may not remember its old offsets."""
        self.deleted.add(self.log.topic_ids[topic])
        self.log.topic_ids[topic] = f"{topic}-{len(self.deleted) + 1}"
        forget = self.rng.random() < 0.5
        for position in self.positions:
            if position.topic == topic:
                self.log.records[position] = []
                self.log.low[position] = 0
                if forget:
                    self.log.committed.pop(position, None)
        self.counts["recreated"] += 1

    def knows(self, committed: Committed, position: TopicPartition) -> bool:
        """Whether a commit is about the topic that has the name now."""
        return committed.intent is None or committed.intent.topic_id == self.log.topic_ids[position.topic]

    def incarnation(self, position: TopicPartition) -> Incarnation:
        """Return a partition with its topic id of now."""
        return Incarnation(position, self.log.topic_ids[position.topic])

    def expel_silent_members(self) -> None:
        """Remove the members that were silent for a session."""
        for member in list(self.group.members):
            wire = self.seen.get(member)
            if (wire is not None and wire.alive and wire.member == member) or self.now() < self.broker.away_until:
                self.last_seen[member] = self.now()
            elif self.now() - self.last_seen.setdefault(member, self.now()) > _SESSION_S:
                self.group.expel(member)
                self.counts["expelled"] += 1

    def forget(self, wire: Wire) -> None:
        """Remove the members of one process."""
        for member in [member for member in self.group.members if self.seen.get(member) is wire]:
            self.group.expel(member)

    # --- checks ------------------------------------------------------------------------------------------------

    def committed(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Check a commit: everything below it is accounted for now."""
        incarnation = Incarnation(position, intent.topic_id)
        self.began.setdefault(incarnation, self.log.low.get(position, 0))
        for below in range(self._checked.get(incarnation, 0), offset):
            self._account(incarnation, below, f"at the commit of {offset}")
        self._checked[incarnation] = max(offset, self._checked.get(incarnation, 0))

    def settled(self) -> bool:
        """Whether the group is at the end of every partition with nothing pending."""
        for position in self.positions:
            committed = self.log.committed.get(position)
            high = self.log.high(position)
            if committed is None and high == 0:
                continue
            if committed is None or committed.offset < high:
                return False
            intent = committed.intent
            if intent is not None and (intent.pending or intent.topic_id != self.log.topic_ids[position.topic]):
                return False
        return True

    def check(self) -> None:
        """Check everything that was ever produced. Raises Violation."""
        for incarnation, records in self.produced.items():
            for offset in records:
                self._account(incarnation, offset, "at the end")
        for row, count in self.tables.rows_kept.items():
            if count > 1:
                self.violations.append(f"row {row} is stored {count} times")
        if self.violations:
            raise Violation("; ".join(self.violations[:5]))

    def _account(self, incarnation: Incarnation, offset: int, when: str) -> None:
        made = self.produced[incarnation].get(offset)
        if made is None:
            return
        at = incarnation.position
        route = TOPICS[at.topic]
        key = (route.target, incarnation.topic_id, at.partition, offset)
        rows = sum(1 for row, count in self.tables.rows_kept.items() if row[:4] == key and count)
        dead_letter = any(
            (x.source.topic_id, x.source.partition, x.record.offset) == (incarnation.topic_id, at.partition, offset)
            for x in self.log.dead_letters
        )
        if dead_letter and made.kind == "good":
            self.violations.append(f"{at} offset {offset} is good and a dead letter, {when}")
        if rows == made.rows and made.kind != "bad":
            return
        stays_dead = dead_letter and rows == 0 and not (self.retried and made.kind == "learned")
        if stays_dead or self._excused(incarnation, offset):
            return
        self.violations.append(f"{at} ({incarnation.topic_id}) offset {offset}: {rows} of {made.rows} rows, {when}")

    def _excused(self, incarnation: Incarnation, offset: int) -> bool:
        """Whether the log deleted it first, and the loss is recorded if it must be."""
        if incarnation.topic_id in self.deleted or offset < self.began.get(incarnation, 0):
            return True
        at = incarnation.position
        return any(
            (deleted.topic_id, deleted.partition) == (incarnation.topic_id, at.partition)
            and deleted.lo <= offset <= deleted.hi
            for deleted in self.tables.lost.values()
        )
