"""Defines what the rest of the dashboard may ask of the log as it is now.

Nothing here blocks the event loop, and nothing raises because a broker is away: what is known stays, and its age says
how old it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from runbus.dashboard.live.rows import Row
from runbus.dashboard.live.runs import StreamFacts
from runbus.kafka.model import StreamId, TopicPartition
from runbus.schemas.events import Heartbeat

ViewName = Literal["runs", "run", "episode", "health"]


class Place(NamedTuple):
    """One episode of a stream."""

    stream: StreamId
    env: int
    episode: int

    @property
    def channel(self) -> str:
        """The channel of its steps."""
        return f"steps/{self.stream}/{self.env}/{self.episode}"


@dataclass(frozen=True, slots=True)
class View:
    """What one page looks at.

    Attributes:
        name: the page.
        run: of `run`.
        place: of `episode`.
    """

    name: ViewName
    run: str = ""
    place: Place | None = None


class LiveLog(Protocol):
    """The log as it is now."""

    def below(self, topic: str) -> Mapping[int, int]:
        """Return partition -> the offset below which every record of `topic` is in ClickHouse, or a dead letter.

        It is what the sink committed, as its heartbeats say; a partition that none has named is not there.

        Args:
            topic: without its prefix.
        """

    def heartbeats(self) -> Mapping[str, Heartbeat]:
        """Return the newest heartbeat of each component."""

    def silent_seconds(self, component_id: str) -> float:
        """Return for how long a component was silent, on a clock that runs while heartbeats flow at all."""

    def behind_seconds(self) -> float:
        """Return for how long nothing was read although heartbeats come every second; near 0 = all is well."""

    def ends(self) -> Mapping[TopicPartition, int]:
        """Return how far each partition was read: the offset of the next record."""

    def ended(self, since: int) -> Iterator[tuple[StreamId, StreamFacts]]:
        """Yield the streams that said their end at `since` (microseconds since the epoch) or later."""

    def watched(self, channel: str) -> bool:
        """Return whether a client looks at a channel now."""

    def tell(self, channel: str, rows: Mapping[str, Row]) -> None:
        """Have these rows in a channel that is not read from the log, and no others: clients get what changed."""

    def follow(self, view: View, since: str) -> AsyncIterator[bytes]:
        """Yield frames for one client, as server-sent events, until the dashboard ends.

        What a slow client has not taken is not kept: its next frame has all that changed meanwhile, once.

        Args:
            view: what it looks at.
            since: the id of the last frame that it has, or empty.
        """
