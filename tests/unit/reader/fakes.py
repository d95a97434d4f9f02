"""Stands in for Kafka: records in memory, and a client that hands them out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as ClientPartition

from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.reader.client import Came
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.plan import Plan
from runbus.reader.selection import Selection
from runbus.reader.sequences import Sequences
from runbus.reader.settings import ReaderSettings
from runbus.schemas.avsc import schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec

PLACE = TopicPartition("runbus.steps", 0)
KEY = b"run-1/agent-0"


@dataclass(frozen=True)
class FakeRecord:
    """A record as the client has it."""

    at: int
    raw: bytes
    name: bytes = KEY
    place: TopicPartition = PLACE
    time_ms: int = 1_000

    def topic(self) -> str:
        """Return its topic."""
        return self.place.topic

    def partition(self) -> int:
        """Return its partition."""
        return self.place.partition

    def offset(self) -> int:
        """Return its offset."""
        return self.at

    def key(self) -> bytes:
        """Return its key."""
        return self.name

    def value(self) -> bytes:
        """Return its value."""
        return self.raw

    def timestamp(self) -> tuple[int, int]:
        """Return its time."""
        return (1, self.time_ms)

    def error(self) -> KafkaError | None:
        """Return None: it is no error."""
        return None

    def __len__(self) -> int:
        return len(self.raw)


def framed(batch: StepBatch) -> bytes:
    """Return the value of a batch."""
    return Codec().frame("", schema("StepBatch"), encode(batch))


def plan(name: str | None = "gui-1", *, run: str | None = None, buffer_bytes: int = 2**20) -> Plan:
    """Return a plan for `steps`."""
    settings = ReaderSettings(KafkaSettings("127.0.0.1:1"), buffer_bytes=buffer_bytes)
    return Plan(settings, name, "", Selection("runbus.", ["steps"], run, None), "committed", "beginning")


class FakeClient:
    """Hands out what a test gives it, and notes what is asked of it.

    Attributes:
        coming: what the next reads bring.
        raises: what the next commits raise; None = nothing.
    """

    def __init__(self) -> None:
        self.coming: deque[Came | Exception] = deque()
        self.raises: deque[Exception | None] = deque()
        self.committed: list[Mapping[TopicPartition, tuple[int, str]]] = []
        self.held: set[TopicPartition] = set()
        self.asked: list[int] = []
        self.opened = self.closed = 0
        self.low, self.end = 0, 1_000
        self.joining = False
        self.sought: list[tuple[TopicPartition, int]] = []
        self.cursors: dict[TopicPartition, PartitionCursor] = {}
        self.changed: Callable[[], None] = lambda: None

    def made(
        self,
        _: Plan,
        cursors: dict[TopicPartition, PartitionCursor],
        _ended: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> FakeClient:
        """Be the client that a fetcher makes."""
        self.cursors, self.changed = cursors, on_change
        return self

    def open(self) -> None:
        """Begin; a partition goes on where it was."""
        self.opened += 1
        before = self.cursors.get(PLACE)
        handed, known = (Handed(0), Sequences(whole=True)) if before is None else (before.handed, before.sequences)
        self.cursors[PLACE] = PartitionCursor(PLACE, handed, handed.position, known)

    def close(self) -> None:
        """End."""
        self.closed += 1

    def leave_to_parent(self) -> None:
        """Do nothing."""

    def read(self, most: int, _: float) -> Came:
        """Return what is next."""
        self.asked.append(most)
        if not self.coming:
            return Came([], {}, [])
        came = self.coming.popleft()
        if isinstance(came, Exception):
            raise came
        return came

    def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Note a commit."""
        raised = self.raises.popleft() if self.raises else None
        if raised is not None:
            raise raised
        self.committed.append(dict(offsets))

    def hold(self, places: Iterable[TopicPartition]) -> None:
        """Note what is held."""
        self.held |= set(places)

    def release(self) -> None:
        """Hold nothing."""
        self.held.clear()

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool(self.held)

    def bounds(self, _: TopicPartition) -> tuple[int, int]:
        """Return where the log begins and ends."""
        return self.low, self.end

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Note where a partition goes on."""
        self.sought.append((place, offset))


def client_partition(offset: int, metadata: str | None = None) -> ClientPartition:
    """Return what the client says of a committed offset."""
    if metadata is None:
        return ClientPartition(*PLACE, offset)
    return ClientPartition(*PLACE, offset, metadata=metadata)
