"""Runs a core on a list of records and a clock that you move, without Kafka. For tests, ours and yours.

    driver = Driver(lambda source: EpisodesCore(Policy(idle_ms=1000)))
    driver.send(batch)               # appends it at the next offset and feeds it
    driver.advance(1500)             # nothing is left to read and 1.5 s of broker time pass
    driver.commit()
    driver.emitted                   # what consumers of the topic see: committed emissions, in order
    driver.crash()                   # what was not committed is gone; a new core goes on from the committed state

The same `Shard` as in production decides what a record is, what was taken already and what becomes a dead letter; only
Kafka is replaced, by a list, a dict and a number.
"""

from __future__ import annotations

from runbus.kafka.model import DeadLetter, Record, TopicIdPartition
from runbus.schemas.avsc import schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.schemas.known_schemas import KnownSchemas
from runbus.streams.api import AppMetrics, Change, Core, CoreMaker, Emission, StreamApp
from runbus.streams.reset import NewPosition, StateReset, reset_state, saved_position, seen
from runbus.streams.shard import Shard

START_MS = 1_800_000_000_000
_TOPIC_ID = "topic-1"


class Driver:
    """One app on one partition.

    Args:
        app: yours, or what makes a core whose state has a key a stream.
        start_ms: broker time of the first record, milliseconds since the epoch.
    """

    def __init__(self, app: CoreMaker | StreamApp, *, start_ms: int = START_MS) -> None:
        self.now_ms = start_ms
        self.log: list[Record] = []
        self.ends: list[tuple[RunEvent, int]] = []
        self.state: dict[bytes, bytes] = {}
        self.emitted: list[Emission] = []
        self.letters: list[DeadLetter] = []
        self.metrics = AppMetrics()
        self._codec = Codec()
        self._new_core = app.new_core if isinstance(app, StreamApp) else app
        self._by_stream = not isinstance(app, StreamApp) or app.topics.by_stream
        self._shard = self._new_shard()

    @property
    def core(self) -> Core:
        """The core that runs now."""
        return self._shard.core

    def send(self, value: StepBatch | bytes | None) -> None:
        """Append a batch, or the raw bytes of a record, at the next offset, and feed it."""
        if isinstance(value, StepBatch):
            value = self._codec.frame("steps", schema("StepBatch"), encode(value))
        self.log.append(Record(len(self.log), self.now_ms, value))
        self._shard.feed(self.log[-1:])

    def end(self, event: RunEvent) -> None:
        """Let a FINISHED event arrive."""
        self.ends.append((event, self.now_ms))
        self._shard.end(event, self.now_ms)

    def advance(self, milliseconds: int) -> None:
        """Let broker time pass while nothing is left to read."""
        self.now_ms += milliseconds
        self._shard.tick(self.now_ms)

    def wait(self, milliseconds: int) -> None:
        """Let time pass without saying that nothing is left to read: a backlog waits."""
        self.now_ms += milliseconds
        self._shard.tick(None)

    def commit(self) -> None:
        """Commit everything since the last commit, as one."""
        pending = self._shard.collect()
        self._write(pending.changes)
        self.emitted.extend(pending.emissions)
        self.letters.extend(pending.letters)

    def crash(self) -> None:
        """Lose what was not committed, restore, and read the log on from the committed offset."""
        self._shard = self._new_shard()
        for event, appended_ms in self.ends:
            self._shard.end(event, appended_ms)
        self._shard.feed(self.log[self._shard.next_offset :])

    def reset(self, offset: int) -> StateReset:
        """Move the app to an offset, as `runbus cursors reset` does while none of it runs, and read the log on."""
        to = NewPosition(_TOPIC_ID, offset, 0)
        log = (seen(*record[:3]) for record in self.log[: self._position()])
        done = reset_state(self.state, to, log, by_stream=self._by_stream)
        self._write(done.changes)
        self.crash()
        return done

    def _position(self) -> int:
        saved = saved_position(self.state, _TOPIC_ID)
        return 0 if saved is None else saved.next_offset

    def _write(self, changes: list[Change]) -> None:
        for change in changes:
            if change.value is None:
                self.state.pop(change.key, None)
            else:
                self.state[change.key] = change.value

    def _new_shard(self) -> Shard:
        source = TopicIdPartition("steps", _TOPIC_ID, 0)
        shard = Shard(
            source,
            self._new_core(str(source)),
            KnownSchemas(self._codec),
            self.metrics,
            app="driver",
            clock_us=lambda: self.now_ms * 1000,
        )
        shard.begin(self.state)
        shard.next_offset = max(shard.next_offset, 0)
        return shard
