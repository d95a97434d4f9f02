"""Queues events for one subscriber: bounded in events and bytes, with a policy, a cursor and exact counters.

For every subscription, at every moment: accepted = delivered + dropped + waiting, in events and in bytes.

A reader that works on what it took may say when that is `done`: `unfinished` counts what waits and what was taken and
is not done, as one number, so `join` misses nothing on its way from the queue to the reader.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError

Policy = Literal["drop_oldest", "drop_newest", "conflate", "block"]


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """Bounds of one subscription's queue, and what gives way when it is full.

    Attributes:
        policy: what gives way when the queue is full. `drop_oldest` and `drop_newest` drop, `conflate` keeps the
            newest event of each key (and drops the oldest key when even that is too much), `block` makes the
            publisher wait.
        max_events, max_bytes: the bounds. An event that alone exceeds them is dropped under every policy.
        key: for `conflate`: event -> the key of which only the newest matters.
        on_drop: called in the publisher's thread with each event that was dropped; must be quick and not raise.
    """

    policy: Policy = "drop_oldest"
    max_events: int = 100_000
    max_bytes: int = 64 * 1024 * 1024
    key: Callable[[Any], Hashable] | None = None
    on_drop: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise ConfigError(f"policy {self.policy!r} is not one of {', '.join(get_args(Policy))}")
        if self.max_events < 1 or self.max_bytes < 1:
            raise ConfigError(f"max_events={self.max_events}, max_bytes={self.max_bytes}: both must be at least 1")
        if (self.policy == "conflate") != (self.key is not None):
            raise ConfigError("key= belongs to policy 'conflate', which needs it")


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """Counters of one subscription. `position` is the bus position after the newest event taken or given up."""

    policy: Policy
    position: int
    depth: int
    accepted_events: int
    accepted_bytes: int
    delivered_events: int
    delivered_bytes: int
    dropped_events: int
    dropped_bytes: int
    waiting_events: int
    waiting_bytes: int

    def as_dict(self) -> dict[str, int | str]:
        """Return the counters by name."""
        return asdict(self)


class Item(NamedTuple):
    """An event in a queue: its bus position, and how much room it takes."""

    position: int
    event: Any
    events: int
    nbytes: int


class _Volume:
    """Events and bytes, counted together."""

    __slots__ = ("events", "nbytes")

    def __init__(self) -> None:
        self.events = 0
        self.nbytes = 0

    def add(self, item: Item) -> None:
        self.events += item.events
        self.nbytes += item.nbytes

    def remove(self, item: Item) -> None:
        self.events -= item.events
        self.nbytes -= item.nbytes


class Subscription:
    """Queues events for a named reader of a bus. Any thread may read; made by `RunBus.subscribe`.

    An event published with `events=0` is a marker (the end of a stream, say): it takes no room and no policy drops it.
    """

    def __init__(self, name: str, options: QueueOptions, leave: Callable[[Subscription], None]) -> None:
        self.name = name
        self.options = options
        self._leave = leave
        self._lock = threading.Lock()  # publishers take it itself: an interrupt in Condition.__exit__ keeps it for ever
        self._changed = threading.Condition(self._lock)
        self._over = threading.Condition(self._lock)  # nothing is unfinished, or waits are released
        self._readers = 0
        self._taken = 0
        self._released = False
        self._items: OrderedDict[Hashable, Item] = OrderedDict()
        self._accepted, self._delivered, self._dropped, self._waiting = _Volume(), _Volume(), _Volume(), _Volume()
        self._position = 0
        self._closed = False
        self._block_until: Deadline | None = None

    def get(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - the bus carries any event
        """Return the next event, or None: nothing came in `timeout` seconds (None = wait), or closed and empty."""
        with self._changed:
            self._wait(timeout)
            return self._pop() if self._items else None

    def get_many(self, limit: int) -> list[Any]:
        """Return the next events that are there, at most `limit`, without waiting."""
        with self._changed:
            return [self._pop() for _ in range(min(limit, len(self._items)))]

    def peek(self) -> Any:  # noqa: ANN401
        """Return the next event and leave it in the queue; None if it is empty."""
        with self._changed:
            return next(iter(self._items.values())).event if self._items else None

    def _pop(self) -> Any:  # noqa: ANN401
        _, item = self._items.popitem(last=False)
        self._taken += 1
        self._waiting.remove(item)
        self._delivered.add(item)
        self._position = max(self._position, item.position + 1)
        if self.options.policy == "block":
            self._changed.notify_all()
        return item.event

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is something to get, at most `timeout` seconds; return whether there is."""
        with self._changed:
            self._wait(timeout)
            return bool(self._items)

    def _wait(self, timeout: float | None) -> None:
        if self._items or self._closed or timeout == 0:
            return
        self._readers += 1
        try:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
        finally:
            self._readers -= 1

    def more(self, count: int) -> None:
        """Count `count` further pieces of work: what was taken turned out to be several, each of them `done` later."""
        with self._changed:
            self._taken += count

    def done(self, count: int = 1) -> None:
        """Count pieces of work as done, of those that were taken or are `more`."""
        with self._changed:
            self._taken -= count
            if not self._unfinished():
                self._over.notify_all()

    @property
    def unfinished(self) -> int:
        """Events that wait, and pieces of work that were taken and are not done."""
        with self._changed:
            return self._unfinished()

    def _unfinished(self) -> int:
        return len(self._items) + self._taken

    def join(self, timeout: float) -> bool:
        """Wait until nothing is unfinished, at most `timeout` seconds; return whether it is so."""
        with self._changed:
            self._over.wait_for(lambda: self._released or not self._unfinished(), timeout)
            return not self._unfinished()

    def release(self, released: bool) -> None:
        """End every wait in `join`, and let none begin, as long as this is set."""
        with self._changed:
            self._released = released
            self._over.notify_all()

    def __iter__(self) -> Iterator[Any]:
        """Yield events until the subscription is closed and empty."""
        while True:
            event = self.get()
            if event is None:
                return
            yield event

    def close(self) -> None:
        """Take no further event, and end every wait for an event or for room. Queued events can still be read."""
        self._leave(self)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True if `close` was called."""
        return self._closed

    @property
    def position(self) -> int:
        """The cursor: the bus position after the newest event that was taken or given up."""
        return self._position

    def stats(self) -> SubscriptionStats:
        """Return the counters, all of the same moment."""
        with self._changed:
            return SubscriptionStats(
                policy=self.options.policy,
                position=self._position,
                depth=len(self._items),
                accepted_events=self._accepted.events,
                accepted_bytes=self._accepted.nbytes,
                delivered_events=self._delivered.events,
                delivered_bytes=self._delivered.nbytes,
                dropped_events=self._dropped.events,
                dropped_bytes=self._dropped.nbytes,
                waiting_events=self._waiting.events,
                waiting_bytes=self._waiting.nbytes,
            )

    def offer(self, item: Item) -> tuple[Item, ...]:
        """Put an event into the queue, as the policy says. Called by the bus; blocks under policy `block` only.

        Returns the dropped items, which `tell` must pass on once the bus holds no lock.
        """
        with self._lock:
            if self._closed:
                return ()
            self._accepted.add(item)
            refused, dropped = (False, []) if item.events == 0 else self._make_room(item)
            if refused:
                self._dropped.add(item)
                self._position = max(self._position, item.position + 1)
                return (item,)
            self._items[self._key(item)] = item
            self._waiting.add(item)
            if self._readers:
                self._changed.notify()
        return tuple(dropped)

    def tell(self, dropped: Iterable[Item]) -> None:
        """Call `on_drop` with each dropped event."""
        if self.options.on_drop is not None:
            for lost in dropped:
                self.options.on_drop(lost.event)

    def _key(self, item: Item) -> Hashable:
        if self.options.key is None or item.events == 0:
            return item.position
        return ("key", self.options.key(item.event))

    def _make_room(self, item: Item) -> tuple[bool, list[Item]]:
        """Apply the policy; return whether `item` is refused, and which waiting items gave way."""
        if item.events > self.options.max_events or item.nbytes > self.options.max_bytes:
            return True, []
        match self.options.policy:
            case "drop_newest":
                return not self._fits(item), []
            case "block":
                return not self._wait_for_room(item), []
            case "conflate":
                replaced = self._items.get(self._key(item))
                gone = [] if replaced is None else [self._give_up(replaced)]
                return False, gone + self._drop_oldest(item)
            case _:
                return False, self._drop_oldest(item)

    def block_until(self, deadline: Deadline | None) -> None:
        """Let publishers wait for room until `deadline` (of time.monotonic), then drop; None = as long as it takes."""
        with self._changed:
            self._block_until = deadline
            self._changed.notify_all()

    def _wait_for_room(self, item: Item) -> bool:
        while not (self._closed or self._fits(item)):
            left = None if self._block_until is None else self._block_until.remaining(time.monotonic())
            if left == 0:
                return False
            self._changed.wait(left)
        return not self._closed

    def _fits(self, item: Item) -> bool:
        events, nbytes = self._waiting.events + item.events, self._waiting.nbytes + item.nbytes
        return events <= self.options.max_events and nbytes <= self.options.max_bytes

    def _give_up(self, item: Item) -> Item:
        """Count a waiting item as dropped; if it is replaced, its place in the queue stays."""
        self._waiting.remove(item)
        self._dropped.add(item)
        self._position = max(self._position, item.position + 1)
        return item

    def _drop_oldest(self, item: Item) -> list[Item]:
        own = self._key(item)
        dropped: list[Item] = []
        markers: list[tuple[Hashable, Item]] = []
        while not self._fits(item):
            key, oldest = self._items.popitem(last=False)
            if oldest.events == 0:
                markers.append((key, oldest))
            elif key != own:  # its own key's older event was given up already
                dropped.append(self._give_up(oldest))
        for key, marker in reversed(markers):
            self._items[key] = marker
            self._items.move_to_end(key, last=False)
        return dropped
