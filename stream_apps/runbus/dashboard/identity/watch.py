"""Checks all streams that somebody hears of, while somebody looks: asks Kafka for fences and ClickHouse for counts."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbus.config.errors import RunBusError
from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.api import History, Question
from runbus.dashboard.history.statements import text
from runbus.dashboard.identity.balance import Counted, Said, StreamBalance
from runbus.dashboard.identity.letters import Letters
from runbus.dashboard.live.api import LiveLog
from runbus.kafka.clients import new_bounds_reader
from runbus.kafka.model import LogUnavailable, StreamId, TopicPartition
from runbus.kafka.offsets import LogBounds
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import ANNOTATIONS, DEAD_LETTERS, EPISODES, HEARTBEATS, RUNS, STEPS
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat

log = logging.getLogger(__name__)
IDENTITY, ENDS = "identity", "ends"
#: How many streams are in which state: all that the list of runs shows of it.
LIGHT = "light"
_LOOK_S = 1.0
#: For the light alone it looks less often.
_LIGHT_S = 5.0
_CLOSE_S = 2.0
#: Streams that are checked; a recorder names a hundred of its own.
_MOST = 200
#: Streams of one question.
_TOGETHER = 100
#: Letters that are read at once, and kept in mind.
_MOST_LETTERS = 1000
#: An ended stream is shown for so long.
_ENDED_S = 600
#: A sink stores a record within 1 to 3 s; a moment that takes longer than this is one to wait for.
_PATIENCE_US = 10_000_000
#: Counting costs ClickHouse at most this share of its time.
_SHARE = 0.2
_STORED = (STEPS, RUNS, EPISODES, HEARTBEATS, ANNOTATIONS, DEAD_LETTERS)


class IdentityWatch:
    """The live audit of one dashboard.

    Args:
        settings: of the broker.
        codec: of the installation.
        partitions: of each topic, by full name.
        live: what recorders say, up to where ClickHouse has the log, and who is told.
        history: counts.
    """

    def __init__(
        self, settings: KafkaSettings, codec: Codec, partitions: Mapping[str, int], live: LiveLog, history: History
    ) -> None:
        self._settings = settings
        self._steps = settings.topic_prefix + STEPS.name
        self._letters = settings.topic_prefix + DEAD_LETTERS.name
        self._partitions = partitions
        self._live = live
        self._history = history
        self._dead = Letters(codec)
        self._balances: dict[StreamId, StreamBalance] = {}
        self._not_before = 0.0
        self._looked = -_LIGHT_S
        self._trouble = ""
        self._more = 0

    async def run(self) -> None:
        """Check while somebody looks, until cancelled: once a second, or less often for the light alone.

        Trouble is shown, and never raised.
        """
        places = [
            TopicPartition(name, number)
            for name in (self._settings.topic_prefix + topic.name for topic in _STORED)
            for number in range(self._partitions[name])
        ]
        bounds = LogBounds(new_bounds_reader(self._settings))
        try:
            while True:
                light = self._live.watched(LIGHT) and time.monotonic() - self._looked >= _LIGHT_S
                if light or self._live.watched(IDENTITY):
                    self._looked = time.monotonic()
                    await self._look(bounds, places)
                await asyncio.sleep(_LOOK_S)
        finally:
            await bounds.close(_CLOSE_S)

    async def _look(self, bounds: LogBounds, places: Sequence[TopicPartition]) -> None:
        said = self._said()  # first: what was delivered by then is below the ends that are asked for now
        try:
            ends = {at: end for at, (_, end) in (await bounds.now(list(places))).items()}
        except (LogUnavailable, RunBusError) as error:
            self._trouble = f"Kafka does not say where the log ends: {error}"
        else:
            self._trouble = ""
            self._begin(said, ends)
            await self._decide(ends)
            self._live.tell(ENDS, {str(at): {"end": end, "below": self._below().get(at)} for at, end in ends.items()})
        rows = dict(self._rows(said))
        self._live.tell(IDENTITY, rows)
        states = Counter(row["state"] for key, row in rows.items() if key)
        self._live.tell(LIGHT, {"": {**states, "more": self._more, "trouble": self._trouble}})

    # --- what recorders say ----------------------------------------------------------------------------------------

    def _said(self) -> dict[StreamId, Said]:
        """Return the newest word about each stream, the streams that began last first."""
        found: dict[StreamId, Said] = {}
        self._more = 0
        for beat in self._live.heartbeats().values():
            if beat.kind == "recorder" and self._live.silent_seconds(beat.component_id) < _ENDED_S:
                streams, more = recorder_streams(beat)
                self._more += more
                found |= streams
        oldest = time.time_ns() // 1000 - _ENDED_S * 1_000_000
        found |= {
            stream: Said(end.finished_at, end.produced, end.produced - end.dropped, end.dropped, ended=True)
            for stream, end in self._live.ended(oldest)
        }
        newest = sorted(found, key=lambda stream: stream.attempt, reverse=True)[:_MOST]
        self._more += len(found) - len(newest)
        return {stream: found[stream] for stream in newest}

    def _begin(self, said: Mapping[StreamId, Said], ends: Mapping[TopicPartition, int]) -> None:
        for gone in self._balances.keys() - said.keys():
            del self._balances[gone]
        for stream, word in said.items():
            balance = self._balances.setdefault(stream, StreamBalance(stream))
            newer = balance.sums is None or word.at > balance.sums.at or word.ended
            if balance.wants and newer:
                number = partition_of(f"{stream.run_id}/{stream.agent_id}".encode(), self._partitions[self._steps])
                at = TopicPartition(self._steps, number)
                balance.begin(word, {at: ends[at]})

    # --- counting --------------------------------------------------------------------------------------------------

    async def _decide(self, ends: Mapping[TopicPartition, int]) -> None:
        """Count what is behind its fence. A record that could not be stored is said in another topic: fence two."""
        below = self._below()
        ready = []
        for balance in self._balances.values():
            if balance.said is None or balance.to_go(below):
                continue
            if any(at.topic == self._letters for at in balance.fence):
                ready.append(balance)
            else:
                letters = {at: end for at, end in ends.items() if at.topic == self._letters}
                balance.begin(balance.said, {**balance.fence, **letters})
                if not balance.to_go(below):
                    ready.append(balance)
        now = time.monotonic()
        if not ready or now < self._not_before:
            return
        for at in range(0, len(ready), _TOGETHER):
            await self._count(ready[at : at + _TOGETHER])
        self._not_before = time.monotonic() + (time.monotonic() - now) * (1 / _SHARE - 1)

    async def _count(self, balances: Sequence[StreamBalance]) -> None:
        try:
            table = await self._history.table(question(balances), "identity")
            await self._read_letters(balances)
        except ApiError as error:
            self._trouble = error.error
            return
        columns = [table.columns[name].plain() for name in ("n", "stored", "steps")]
        for number, rows, steps in zip(*columns, strict=True):
            balance = balances[int(number) - 1]
            assert balance.said is not None
            dead = self._dead.count(balance.stream, balance.first, balance.said.produced)
            balance.decide(Counted(int(rows), int(steps), dead))

    async def _read_letters(self, balances: Sequence[StreamBalance]) -> None:
        """Read those that are new. Asked after the rows: what became a letter since is no loss, and not the reverse."""
        parameters = {
            "topic": self._steps,
            "runs": [balance.stream.run_id for balance in balances],
            "agents": [balance.stream.agent_id for balance in balances],
            "known": sorted(self._dead.known),
            "most": _MOST_LETTERS,
        }
        asked = Question("identity_letters", text("identity_letters"), parameters)
        table = await self._history.table(asked, "identity")
        keys, heads = (table.columns[name].plain() for name in ("key", "head"))
        self._dead.add({str(key): bytes.fromhex(str(head)) for key, head in zip(keys, heads, strict=True)})

    def _below(self) -> dict[TopicPartition, int]:
        return {
            TopicPartition(self._settings.topic_prefix + topic.name, number): offset
            for topic in _STORED
            for number, offset in self._live.below(topic.name).items()
        }

    # --- rows ------------------------------------------------------------------------------------------------------

    def _rows(self, said: Mapping[StreamId, Said]) -> Iterator[tuple[str, dict[str, Any]]]:
        now_us, below = time.time_ns() // 1000, self._below()
        yield "", {"more": self._more, "trouble": self._trouble}
        for stream, word in said.items():
            balance = self._balances.get(stream) or StreamBalance(stream)
            found = balance.sums
            yield (
                str(stream),
                {
                    "run": stream.run_id,
                    "agent": stream.agent_id,
                    "attempt": stream.attempt,
                    "ended": word.ended,
                    "state": balance.state(now_us, _PATIENCE_US),
                    "at": found.at if found else None,
                    "produced": found.produced if found else None,
                    "stored": found.stored if found else None,
                    "dropped": found.dropped if found else None,
                    "in_flight": found.in_flight if found else None,
                    "dead_letters": found.dead_letters if found else None,
                    "missing": found.missing if found else None,
                    "duplicates": found.duplicates if found else None,
                    "to_go": balance.to_go(below),
                },
            )


def recorder_streams(beat: Heartbeat) -> tuple[dict[StreamId, Said], int]:
    """Return what a recorder's heartbeat says of its streams, and how many more it has."""
    try:
        found = json.loads(beat.detail)
        streams, more = found["streams"], int(found["more_streams"])
        said = {
            stream_of(name): Said(
                beat.sent_at, int(counts["produced"]), int(counts["delivered"]), int(counts["dropped"])
            )
            for name, counts in streams.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, 0
    return said, more


def stream_of(name: str) -> StreamId:
    """Return the stream of `run/agent/attempt`. Raises ValueError."""
    run, agent, attempt = name.split("/")
    return StreamId(run, agent, int(attempt))


def question(balances: Sequence[StreamBalance]) -> Question:
    """Return the question about several streams: `n` is the place of each in their order, from 1."""
    said = [balance.said for balance in balances if balance.said is not None]
    parameters = {
        "runs": [balance.stream.run_id for balance in balances],
        "agents": [balance.stream.agent_id for balance in balances],
        "attempts": [balance.stream.attempt for balance in balances],
        "firsts": [balance.first for balance in balances],
        "produced": [word.produced for word in said],
    }
    return Question("identity", text("identity"), parameters)
