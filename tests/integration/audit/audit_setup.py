"""A log, a database and sinks; what to do to the rows, and what the audit says then."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.audit.range_audit import PIECE, Finding, RangeAudit
from runbus.audit.verdicts import Verdict
from runbus.clickhouse.deduplication import insert_settings
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.tables import STEPS, STORED_TOPICS, StoredTopic
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.topic_log import open_topic, record_position
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import SINGLE_OBJECT_SIZE, Codec
from runbus.sink.container import Container
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, make_batch
from tests.support.waiting import until

PARTITIONS = 2
#: (verdict, partition, first offset, last offset, offsets)
Ranges = list[tuple[Verdict, int, int, int, int]]


@dataclass
class AuditSetup:
    """One test's log, tables and sinks."""

    feed: Feed
    sinks: Sinks
    tables: Tables
    clickhouse: ClickHouseSettings

    @property
    def installation(self) -> Installation:
        """What is audited."""
        return Installation(self.feed.settings, self.clickhouse, Codec(), f"{self.feed.settings.topic_prefix}sink")

    def records(self, count: int, partition: int = 0, size: int = 8) -> None:
        """Produce that many records of one stream to a partition."""
        agent = f"agent-{partition}"
        for _ in range(count):
            first = self.feed.produced.get(agent, 0)
            value = self.feed.value(make_batch(self.feed.run, agent, first, size))
            self.feed.send("steps", stream_key(self.feed.run, agent), value, partition)
            self.feed.produced[agent] = first + size
        self.feed.flush()

    @contextmanager
    def sink(self, **settings: str) -> Iterator[None]:
        """Run a sink meanwhile; at the end it has stored everything."""
        process = self.sinks.start(**settings)
        yield
        until("the sink is past everything", self.is_stored)
        assert self.sinks.stop(process) == 0

    def is_stored(self) -> bool:
        """Return whether the sink's commits have reached the end of each topic but its own heartbeats'."""
        for stored in STORED_TOPICS:
            if stored.topic == "heartbeats":
                continue
            with open_topic(self.feed.settings, stored.topic, self.installation.group) as log:
                if any(log.bounds(p)[1] > offset for p, offset in log.committed().items()):
                    return False
        return True

    def audit(self, *topics: StoredTopic, piece: int = PIECE) -> tuple[RangeAudit, list[Finding]]:
        """Audit some topics, default all."""
        result = RangeAudit(self.installation, topics or STORED_TOPICS, piece)
        return result, list(result.findings())

    def ranges(self, topic: StoredTopic = STEPS, piece: int = PIECE) -> Ranges:
        """Return the ranges of one topic that are not simply stored."""
        _, findings = self.audit(topic, piece=piece)
        return [
            (r.verdict, partition, r.first, r.last, r.offsets)
            for _, _, partition, r in findings
            if r.verdict is not Verdict.STORED
        ]

    def delete(self, table: str, condition: str) -> None:
        """Delete rows, and wait until they are gone."""
        self.tables.client.command(f"ALTER TABLE {table} DELETE WHERE {condition}", settings={"mutations_sync": "2"})

    def store(self, stored: StoredTopic, partition: int, *offsets: int, moved: int = 0) -> None:
        """Store records of the log as the sink does, but under a token of their own, at offsets `moved` further on."""
        with open_topic(self.feed.settings, stored.topic, "scene") as log:
            topic_id = log.id
            values = [
                (record_position(message)[1] + moved, message.value() or b"", SINGLE_OBJECT_SIZE)
                for message in log.records()
                if message.partition() == partition and message.offset() in offsets
            ]
        assert len(values) == len(offsets)
        client = self.tables.client
        data = bytes(Container(schema(stored.schema), topic_id, partition, values))
        settings = insert_settings(client, uuid.uuid4().hex)
        client.raw_insert(stored.landing, insert_block=data, fmt="Avro", settings=settings)

    def forget(self, topic: str, partition: int, before: int) -> None:
        """Let retention take the records below an offset."""
        admin = AdminClient({**self.feed.settings.client_config()})
        part = TopicPartition(self.feed.settings.topic_prefix + topic, partition, before)
        for future in admin.delete_records([part]).values():
            future.result(30)
