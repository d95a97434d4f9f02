"""Stands in for MOSAIC's bus: bounded queues by topic and subscriber, filled from the log.

Nobody who publishes waits. A full queue drops its oldest event; that is counted, and said on the topic OVERFLOW.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from runbus.mosaic.events import TelemetryEvent, Topic
from runbus.mosaic.following import Following
from runbus.reader.start import Start

MAX_QUEUE = 2048


class _Key(NamedTuple):
    topic: Topic
    subscriber: str

    def __str__(self) -> str:
        return f"{self.topic.name}:{self.subscriber}"


class RunBus:
    """The bus. Thread safe.

    Args:
        max_queue: events of a queue of `subscribe`.
        on_subscription: is called once, at the first subscription.
    """

    def __init__(
        self, max_queue: int = MAX_QUEUE, *, on_subscription: Callable[[RunBus], object] | None = None
    ) -> None:
        self._max_queue = max_queue
        self._on_subscription = on_subscription
        self._lock = threading.Lock()
        self._queues: dict[_Key, queue.Queue[TelemetryEvent]] = {}
        self._dropped: dict[_Key, int] = {}
        self._last: dict[tuple[str, str], int] = {}

    def subscribe(self, topic: Topic, subscriber_id: str) -> queue.Queue[TelemetryEvent]:
        """Return a queue that gets the events of a topic from now on."""
        return self.subscribe_with_size(topic, subscriber_id, self._max_queue)

    def subscribe_with_size(self, topic: Topic, subscriber_id: str, max_queue: int) -> queue.Queue[TelemetryEvent]:
        """Return such a queue of a size of its own; the one that this subscriber had before gets nothing more."""
        made: queue.Queue[TelemetryEvent] = queue.Queue(maxsize=max_queue)
        with self._lock:
            self._queues[_Key(topic, subscriber_id)] = made
            begin, self._on_subscription = self._on_subscription, None
        if begin is not None:
            begin(self)
        return made

    def unsubscribe(self, topic: Topic, subscriber_id: str) -> None:
        """Let go of a queue; nothing if there is none."""
        with self._lock:
            self._queues.pop(_Key(topic, subscriber_id), None)

    def publish(self, evt: TelemetryEvent) -> None:
        """Hand an event to every queue of its topic; never waits."""
        with self._lock:
            if evt.topic is Topic.STEP_APPENDED:
                self._last[evt.run_id, evt.agent_id or "default"] = evt.seq_id
            full = [
                key
                for key, waiting in self._queues.items()
                if key.topic is evt.topic and not self._put(key, waiting, evt)
            ]
            if evt.topic is Topic.OVERFLOW:
                return
            for key in full:
                if (dropped := self._dropped[key]) & (dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th, ...
                    self._say(key, dropped, evt)

    def overflow_stats(self) -> dict[str, int]:
        """Return how many events each queue has dropped, by `TOPIC:subscriber`; one that dropped none is not there."""
        with self._lock:
            return {str(key): dropped for key, dropped in self._dropped.items() if dropped}

    def reset_overflow_stats(self) -> None:
        """Count from 0 again."""
        with self._lock:
            self._dropped.clear()

    def queue_sizes(self) -> dict[str, int]:
        """Return how many events wait, by `TOPIC:subscriber`."""
        with self._lock:
            return {str(key): waiting.qsize() for key, waiting in self._queues.items()}

    def sequence_stats(self) -> dict[str, int]:
        """Return the seq of the last step of each agent, by `run:agent`."""
        with self._lock:
            return {f"{run}:{agent}": seq for (run, agent), seq in self._last.items()}

    def _put(self, key: _Key, waiting: queue.Queue[TelemetryEvent], evt: TelemetryEvent) -> bool:
        """Put an event into a queue; return False if an older one had to go."""
        while True:
            try:
                waiting.put_nowait(evt)
            except queue.Full:
                try:
                    waiting.get_nowait()
                except queue.Empty:  # its reader was quicker
                    continue
                self._dropped[key] = self._dropped.get(key, 0) + 1
                waiting.put_nowait(evt)  # nobody else puts: the lock is held
                return False
            return True

    def _say(self, key: _Key, dropped: int, evt: TelemetryEvent) -> None:
        payload = {"topic": key.topic.name, "subscriber_id": key.subscriber, "dropped": dropped}
        said = TelemetryEvent(Topic.OVERFLOW, evt.run_id, evt.agent_id, evt.seq_id, evt.ts_iso, payload)
        for other, waiting in self._queues.items():
            if other.topic is Topic.OVERFLOW:
                self._put(other, waiting, said)


_lock = threading.Lock()
_bus: RunBus | None = None
_following: Following | None = None


def get_bus(*, run: str | None = None, start: Start = "latest") -> RunBus:
    """Return the bus of this process. From its first subscription on it follows the log.

    Args:
        run: a name or a pattern; default: every run. The first call decides, as for `start`.
        start: where in the log: see `runbus.reader.Reader`.
    """
    global _bus  # noqa: PLW0603 - MOSAIC's own is one too
    with _lock:
        if _bus is None:
            _bus = RunBus(on_subscription=lambda bus: _follow(bus, run, start))
        return _bus


def reset_bus() -> None:
    """Stop following the log and forget the bus: the next `get_bus` makes another one."""
    global _bus, _following
    with _lock:
        following, _bus, _following = _following, None, None
    if following is not None:
        following.close()


def _follow(bus: RunBus, run: str | None, start: Start) -> None:
    global _following  # noqa: PLW0603 - likewise
    _following = Following(bus.publish, run=run, start=start)
