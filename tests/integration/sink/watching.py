"""What must hold at every moment, looked at again and again while things go wrong: offsets against rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_END, Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.errors import StoreError, translated
from runbus.config.clickhouse import ClickHouseSettings
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from runbus.sink.api import Intent
from tests.integration.sink.rig import PARTITIONS, Feed, until

_EVERY_S = 0.1


@dataclass(frozen=True)
class Standing:
    """What a group said about one partition: the next offset, and the last one that it announced (-1 = none)."""

    offset: int
    announced: int

    @property
    def allowed(self) -> int:
        """The last offset that may have rows."""
        return max(self.offset - 1, self.announced)


def committed(feed: Feed) -> dict[int, Standing]:
    """Return what the group committed for `steps`, by partition; absent = nothing yet."""
    prefix = feed.settings.topic_prefix
    asked = [TopicPartition(prefix + "steps", i) for i in range(PARTITIONS)]
    admin = AdminClient({**feed.settings.client_config()})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(f"{prefix}sink", asked)]).values()
    found: dict[int, Standing] = {}
    for part in future.result(30).topic_partitions:
        if part.offset >= 0:
            intent = Intent.decode(part.metadata)
            assert intent is not None, f"{part}: no intent in {part.metadata!r}"
            found[part.partition] = Standing(part.offset, intent.hi)
    return found


class Watch:
    """Looks at a feed's partitions: no offset is committed whose rows are not there, no row is there unannounced.

    Args:
        feed: every record of it holds `size` steps.
        engine: asked directly, whatever stands between it and the sink.
        size: rows of each record.
        bad: (partition, offset) of records that are no rows, but dead letters.
    """

    def __init__(
        self, feed: Feed, engine: ClickHouseSettings, size: int = 256, bad: frozenset[tuple[int, int]] = frozenset()
    ) -> None:
        self._feed = feed
        self._engine = engine
        self._size = size
        self._bad = bad
        self._admin = AdminClient({**feed.settings.client_config()})
        self.looks = 0

    def is_past_all(self) -> bool:
        """Return whether the group committed the end of each partition, with nothing announced behind it."""
        topic = self._feed.settings.topic_prefix + "steps"
        newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, i): newest for i in range(PARTITIONS)}
        ends = {part.partition: done.result(30).offset for part, done in self._admin.list_offsets(asked).items()}
        return committed(self._feed) == {partition: Standing(end, -1) for partition, end in ends.items()}

    def rows(self) -> dict[tuple[int, int], int]:
        """Return (partition, offset) -> rows."""
        with translated():
            client = connect(self._engine, timeouts=Timeouts(answer=60))
            try:
                query = (
                    "SELECT kafka_partition, kafka_offset, count() FROM steps WHERE run_id = {run:String} GROUP BY 1, 2"
                )
                found = client.query(query, parameters={"run": self._feed.run}).result_rows
            finally:
                client.close()
        return {(partition, offset): count for partition, offset, count in found}

    def look(self) -> None:
        """Look once. Rows before offsets, and offsets before rows: each is compared with what must be ahead of it."""
        before = self.rows()
        standings = committed(self._feed)
        after = self.rows()
        for (partition, offset), count in before.items():
            assert partition in standings, f"rows of partition {partition}, and nothing was ever announced"
            assert offset <= standings[partition].allowed, f"{partition}@{offset} has rows: {standings[partition]}"
            assert count <= self._size, f"{partition}@{offset} has {count} rows"
        for partition, standing in standings.items():
            for offset in range(standing.offset):
                count = 0 if (partition, offset) in self._bad else self._size
                found = after.get((partition, offset), 0)
                assert found == count, f"{standing.offset} is committed, {partition}@{offset} has {found} rows"
        self.looks += 1

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look all the time while the block runs, in a thread; what was seen wrong is raised at its end.

        While the engine does not answer, nothing is compared.
        """
        over, wrong = threading.Event(), list[BaseException]()

        def work() -> None:
            while not over.wait(_EVERY_S):
                try:
                    self.look()
                except StoreError:
                    continue
                except BaseException as error:  # noqa: BLE001 - carried to the test
                    wrong.append(error)
                    return

        self.looks = 0
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if wrong:
            raise wrong[0]
        self.look()


@dataclass
class Beats:
    """The heartbeats of a feed's sinks, from now on."""

    feed: Feed
    newest: Heartbeat | None = None
    _codec: Codec = field(default_factory=Codec)

    def __post_init__(self) -> None:
        self._consumer = Consumer(
            {**self.feed.settings.client_config(), "group.id": "nobody", "enable.auto.commit": False}
        )
        self._consumer.assign([TopicPartition(self.feed.settings.topic_prefix + "heartbeats", 0, OFFSET_END)])

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def until(self, what: str, holds: Callable[[Heartbeat], bool]) -> None:
        """Return at the first heartbeat that says so."""

        def next_one() -> bool:
            message = self._consumer.poll(1.0)
            if message is None or message.error() is not None:
                return False
            writer, body = self._codec.open(_bytes(message.value()), "Heartbeat")
            self.newest = Heartbeat.decode(body, writer)
            return self.newest.kind == "sink" and holds(self.newest)

        until(f"a heartbeat says {what}", next_one)


def _bytes(value: bytes | str | None) -> bytes:
    assert isinstance(value, bytes)
    return value


def paused(beat: Heartbeat) -> dict[str, str]:
    """Return partition -> why it does not move, as a heartbeat says."""
    return dict(json.loads(beat.detail)["paused"])
