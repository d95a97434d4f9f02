"""What must hold at every moment, looked at again and again while things go wrong: offsets against rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from clickhouse_connect.driver.client import Client
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from runbus.clickhouse.errors import StoreError, translated
from runbus.kafka.commit_metadata import Intent
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from tests.integration.sink.sink_processes import PARTITIONS, Feed
from tests.support.waiting import until

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


class Group:
    """Reads what the sinks of a feed committed, without joining them.

    A consumer, because librdkafka's admin client may crash where it asks a coordinator that is not ready (issue 5040).
    """

    def __init__(self, feed: Feed) -> None:
        prefix = feed.settings.topic_prefix
        self._asked = [(prefix + "steps", i) for i in range(PARTITIONS)]
        self._reader = Consumer({**feed.settings.client_config(), "group.id": f"{prefix}sink", "log_level": 0})
        self._parts: list[TopicPartition] = []

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def committed(self) -> dict[int, Standing]:
        """Return what the group committed for `steps`, by partition; absent = nothing yet."""
        until("the group's coordinator answers", self._ask)
        found: dict[int, Standing] = {}
        for part in self._parts:
            if part.offset >= 0:
                intent = Intent.decode(part.metadata)
                assert intent is not None, f"{part}: no intent in {part.metadata!r}"
                found[part.partition] = Standing(part.offset, intent.hi)
        return found

    def _ask(self) -> bool:
        try:
            self._parts = self._reader.committed([TopicPartition(*at) for at in self._asked], 10)
        except KafkaException:
            return False
        return True

    def is_past_all(self) -> bool:
        """Return whether the end of each partition is committed, with nothing announced behind it."""
        ends = [self._reader.get_watermark_offsets(TopicPartition(*at), timeout=30)[1] for at in self._asked]
        return self.committed() == {partition: Standing(end, -1) for partition, end in enumerate(ends)}


class Watch:
    """Looks at a feed's partitions: no offset is committed whose rows are not there, no row is there unannounced.

    Args:
        feed: every record of it holds `size` steps.
        group: of the sinks.
        client: asks the engine directly, whatever stands between it and the sink.
        size: rows of each record.
    """

    def __init__(self, feed: Feed, group: Group, client: Client, size: int) -> None:
        self._feed = feed
        self._group = group
        self._client = client
        self._size = size
        self.looks = 0

    def rows(self) -> dict[tuple[int, int], int]:
        """Return (partition, offset) -> rows."""
        query = "SELECT kafka_partition, kafka_offset, count() FROM steps WHERE run_id = {run:String} GROUP BY 1, 2"
        with translated():
            found = self._client.query(query, parameters={"run": self._feed.run}).result_rows
        return {(partition, offset): count for partition, offset, count in found}

    def look(self) -> None:
        """Look once. Rows before offsets, and offsets before rows: each is compared with what must be ahead of it."""
        before = self.rows()
        standings = self._group.committed()
        after = self.rows()
        for (partition, offset), count in before.items():
            assert partition in standings, f"rows of partition {partition}, and nothing was ever announced"
            assert offset <= standings[partition].allowed, f"{partition}@{offset} has rows: {standings[partition]}"
            assert count <= self._size, f"{partition}@{offset} has {count} rows"
        for partition, standing in standings.items():
            for offset in range(standing.offset):
                found = after.get((partition, offset), 0)
                assert found == self._size, f"{standing.offset} is committed, {partition}@{offset} has {found} rows"
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
        except BaseException as failure:
            failure.add_note(f"offsets against rows: {wrong or 'nothing wrong was seen'}")
            raise
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
