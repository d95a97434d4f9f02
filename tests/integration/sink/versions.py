"""Recorders of two releases that write to one topic, and sinks of either."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from runbus.schemas.batch import encode
from runbus.schemas.registry import SchemaRegistry
from tests.integration.sink.release import NOW, Release, framed
from tests.integration.sink.sink_processes import PARTITIONS, Feed, Tables, make_batch

SIZE = 16


@dataclass
class Recorders:
    """Write batches of streams, each stream to a partition of its own, as this release does or as the next.

    Attributes:
        feed: the topic.
        release: the next release.
        ids: in the registry, of this release's schema and of the next one's; None = by fingerprint.
        newer: steps that were written as the next release does.
    """

    feed: Feed
    release: Release
    ids: tuple[int, int] | None = None
    newer: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def registered(cls, feed: Feed, release: Release, registry: str) -> Recorders:
        """Return recorders that use a registry, which knows both schemas."""
        topic = feed.settings.topic_prefix + "steps"
        known = SchemaRegistry(registry)
        return cls(feed, release, (known.push(topic, NOW), known.push(topic, release.schema)))

    def write(self, newer: bool, partition: int = 1) -> None:
        """Write the next batch of a partition's stream; the policy version of a newer one is its number, from 1."""
        with self._lock:
            agent = f"agent-{partition}"
            first = self.feed.produced.get(agent, 0)
            batch = make_batch(self.feed.run, agent, first, SIZE)
            body = self.release.body(batch, first // SIZE + 1) if newer else encode(batch)
            writer = self.release.schema if newer else NOW
            value = framed(writer, body, None if self.ids is None else self.ids[newer])
            self.feed.send("steps", b"key", value, partition=partition)
            self.feed.produced[agent] = first + SIZE
            self.newer += SIZE if newer else 0

    @contextmanager
    def busy(self) -> Iterator[threading.Event]:
        """Write on and on, up to 200 batches a second; once the event is set, every other one like the next release."""
        upgraded, done = threading.Event(), threading.Event()

        def work() -> None:
            number = 0
            while not done.wait(0.005):
                self.write(upgraded.is_set() and number // PARTITIONS % 2 == 1, number % PARTITIONS)
                self.feed.producer.poll(0)
                number += 1

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield upgraded
        finally:
            done.set()
            thread.join()
            self.feed.flush()


def check_versions(tables: Tables, recorders: Recorders) -> None:
    """Fail unless the column of the next release has what was written, and its default where nothing was."""
    rows = tables.client.query(
        f"SELECT countIf(policy_version > 0), countIf(policy_version NOT IN (0, intDiv(seq, {SIZE}) + 1)) "
        "FROM steps WHERE run_id = {run:String}",
        parameters={"run": recorders.feed.run},
    ).result_rows
    assert rows == [(recorders.newer, 0)]


def check_order(tables: Tables, feed: Feed) -> None:
    """Fail unless the steps of each stream are in the order of their offsets."""
    numbered = (
        "SELECT seq, row_number() OVER (PARTITION BY agent_id ORDER BY kafka_offset, seq) - 1 AS number "
        "FROM steps WHERE run_id = {run:String}"
    )
    rows = tables.client.query(
        f"SELECT count(), countIf(seq != number) FROM ({numbered})", parameters={"run": feed.run}
    ).result_rows
    assert rows == [(feed.total, 0)]
