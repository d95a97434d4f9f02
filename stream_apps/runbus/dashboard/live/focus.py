"""Tails the streams that somebody looks at closely: their steps, before ClickHouse has them.

One stream is one partition of `steps`, read from the sink's position on by a reader of its own, which many pages may
share. What is kept is bounded: a page that fell out of it asks history, which has it by then or soon.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from runbus.config.errors import RunBusError
from runbus.dashboard.history.recorded import shown
from runbus.dashboard.live.api import Place
from runbus.dashboard.live.hub import Hub
from runbus.dashboard.live.rows import Row
from runbus.kafka.model import StreamId, TopicPartition
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import STEPS, stream_key
from runbus.reader import Reader, Steps
from runbus.reader.settings import ReaderSettings
from runbus.schemas.batch import NO_PARENT
from runbus.schemas.codec import Codec
from runbus.schemas.layout import ABSENT, OMITTED, Layout, unpack

log = logging.getLogger(__name__)

#: Each is a reader, and a share of this process; who comes later sees history only.
_MOST_STREAMS = 8
#: Of one stream; older ones are in history, or soon.
_MOST_STEPS = 4000
_MOST_BYTES = 16 * 1024 * 1024
_BUFFER_BYTES = 16 * 1024 * 1024
#: A page that is loaded again finds its reader.
_STAYS_S = 5.0
_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of a record: its row is made when somebody looks."""

    steps: Steps
    index: int

    @property
    def episode(self) -> tuple[int, int]:
        return int(self.steps.env[self.index]), int(self.steps.episode[self.index])


class Focus:
    """The streams that are tailed now.

    Args:
        settings: of the broker.
        codec: of the installation.
        partitions: of each topic, by full name.
        begin: returns the sink's position in a partition of `steps`.
        hub: is told what comes.
        changed: is called when something came.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        codec: Codec,
        partitions: Mapping[str, int],
        begin: Callable[[int], int],
        hub: Hub,
        changed: Callable[[], None],
    ) -> None:
        self._settings = ReaderSettings(settings, _BUFFER_BYTES, make_codec=lambda: codec)
        self._topic = settings.topic_prefix + STEPS.name
        self._partitions = partitions[self._topic]
        self._begin = begin
        self._hub = hub
        self._changed = changed
        self._tails: dict[StreamId, _Tail] = {}
        self._watched: Counter[Place] = Counter()

    @contextmanager
    def on(self, place: Place) -> Iterator[bool]:
        """Tail a stream while the block runs; False = there are too many already."""
        tail = self._tails.get(place.stream)
        if tail is None and len(self._tails) >= _MOST_STREAMS:
            yield False
            return
        if tail is None:
            tail = self._tails[place.stream] = self._new(place.stream)
        tail.users += 1
        self._watched[place] += 1
        if self._watched[place] == 1:
            for seq in tail.of(place.env, place.episode):
                self._hub.touch(place.channel, str(seq))
        try:
            yield True
        finally:
            tail.users -= 1
            tail.left_at = time.monotonic()
            self._watched[place] -= 1
            if not self._watched[place]:
                del self._watched[place]

    async def run(self) -> None:
        """End the tails that nobody has looked at for a while, until cancelled."""
        try:
            while True:
                await asyncio.sleep(1.0)
                for stream, tail in list(self._tails.items()):
                    if not tail.users and time.monotonic() - tail.left_at > _STAYS_S:
                        del self._tails[stream]
                        await tail.close()
        finally:
            for tail in self._tails.values():
                await tail.close()

    def row(self, channel: str, key: str) -> Row | None:
        """Return a step as pages get it; None = it is not kept any more."""
        run, agent, attempt = channel.split("/")[1:4]
        tail = self._tails.get(StreamId(run, agent, int(attempt)))
        step = tail.steps.get(int(key)) if tail else None
        return None if step is None else step_row(step.steps, step.index)

    def _new(self, stream: StreamId) -> _Tail:
        number = partition_of(stream_key(stream.run_id, stream.agent_id), self._partitions)
        at = TopicPartition(self._topic, number)
        tail = _Tail(stream, lambda: self._reader(stream, at), self._arrived)
        tail.start()
        return tail

    def _reader(self, stream: StreamId, at: TopicPartition) -> Reader:
        start = {at: self._begin(at.partition)}
        return Reader(topics=STEPS.name, run=stream.run_id, agent=stream.agent_id, start=start, settings=self._settings)

    def _arrived(self, tail: _Tail, new: list[tuple[int, _Step]], old: list[tuple[int, _Step]]) -> None:
        for seq, step in new:
            for place in self._places(tail.stream, step):
                self._hub.touch(place.channel, str(seq))
        for seq, step in old:
            for place in self._places(tail.stream, step):
                self._hub.channel(place.channel).forget(str(seq))
        self._changed()

    def _places(self, stream: StreamId, step: _Step) -> Iterator[Place]:
        place = Place(stream, *step.episode)
        if place in self._watched:
            yield place


class _Tail:
    """The newest steps of one stream.

    Args:
        stream: which.
        reader: makes a reader that begins at the sink's position.
        arrived: is told which steps are new, and which are kept no more.
    """

    def __init__(
        self,
        stream: StreamId,
        reader: Callable[[], Reader],
        arrived: Callable[[_Tail, list[tuple[int, _Step]], list[tuple[int, _Step]]], None],
    ) -> None:
        self.stream = stream
        self._reader = reader
        self._arrived = arrived
        self.steps: OrderedDict[int, _Step] = OrderedDict()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self.users = 0
        self.left_at = 0.0

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def of(self, env: int, episode: int) -> list[int]:
        """Return the seq of each step of an episode that is kept."""
        return [seq for seq, step in self.steps.items() if step.episode == (env, episode)]

    async def _run(self) -> None:
        while True:
            try:
                async with self._reader() as reader:
                    async for event in reader:
                        if isinstance(event, Steps) and event.stream == self.stream:
                            self._take(event)
            except RunBusError as error:
                log.warning("dashboard.tail %s: %s", self.stream, error)
            await asyncio.sleep(_AGAIN_S)

    def _take(self, event: Steps) -> None:
        new = [(event.first_seq + i, _Step(event, i)) for i in range(len(event))]
        self.steps.update(new)
        self._bytes += _size(event)
        old = []
        while len(self.steps) > _MOST_STEPS or (self._bytes > _MOST_BYTES and len(self.steps) > 1):
            seq, step = self.steps.popitem(last=False)
            self._bytes -= _size(step.steps) // len(step.steps)
            old.append((seq, step))
        self._arrived(self, new, old)


def _size(event: Steps) -> int:
    return len(event.batch.observation) + len(event.batch.action)


def step_row(steps: Steps, i: int) -> dict[str, Any]:
    """Return one step of a record as pages get it; values are as history/recorded.py has them."""
    columns = steps.columns
    return {
        "seq": steps.first_seq + i,
        "env": int(columns.env[i]),
        "episode": int(columns.episode[i]),
        "step": int(columns.step[i]),
        "tick": -1 if columns.tick is None else int(columns.tick[i]),
        "ts": int(columns.ts[i]),
        "reward": float(columns.reward[i]),
        "terminated": bool(columns.terminated[i]),
        "truncated": bool(columns.truncated[i]),
        "kind": steps.kind[i] if steps.kind else "",
        "status": steps.status[i] if steps.status else "",
        "parent": NO_PARENT if columns.parent is None else int(columns.parent[i]),
        "extras": {
            name: float(numbers[rows == i][-1]) for name, (rows, numbers) in steps.logged.items() if (rows == i).any()
        },
        "info": steps.info[i] if steps.info else "",
        "stop": steps.stop[i] if steps.stop else "",
        "action": _value(steps.action_layout, steps.batch.action, steps.has_action[i], len(steps), i),
        "observation": _value(
            steps.observation_layout, steps.batch.observation, steps.has_observation[i], len(steps), i
        ),
        "p": steps.at.partition,
        "o": steps.at.offset,
    }


def _value(layout: Layout, column: bytes, there: bool, count: int, i: int) -> dict[str, Any] | None:
    if layout.dtype.startswith((ABSENT, OMITTED)) or not layout.recorded:
        return shown(layout.dtype, layout.shape, b"")
    if not there:
        return None
    return shown(layout.dtype, layout.shape, unpack(layout, column, count)[i])
