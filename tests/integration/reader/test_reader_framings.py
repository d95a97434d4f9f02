"""Values in either framing, and records of transactions: what is committed comes, and nothing else."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.reader import EpisodeFinalized, Reader, Unreadable
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryMissing
from runbus.schemas.registry import SchemaRegistry
from tests.integration.reader.log import AGENT, RUN, Log, batch, seqs, take
from tests.integration.reader.test_reader_events import EPISODE
from tests.support.waiting import until

pytestmark = pytest.mark.integration
KEY = stream_key(RUN, AGENT)


def test_both_framings_side_by_side(
    settings: KafkaSettings, log: Log, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the registry both come; without it the error says what to set, and nothing is passed over."""
    schemas = SchemaRegistry(registry)
    schemas.push_all(settings.topic_prefix)
    framed = Codec(schemas).frame(f"{settings.topic_prefix}steps", schema("StepBatch"), encode(batch(4)))
    log.batches(batch(0))
    log.values("steps", [(KEY, framed)])
    log.batches(batch(8))
    log.values("steps", [(KEY, b"\x00\x7f\xff\xff\xff" + framed[5:])])
    with Reader("missing", settings=settings) as reader:
        assert seqs(take(reader, 1)) == [0, 1, 2, 3]
        for _ in range(2):
            with pytest.raises(RegistryMissing, match="set SCHEMA_REGISTRY_URL"):
                take(reader, 1)
        assert sum(reader.commit().values()) == 1
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", registry)
    with Reader("missing", settings=settings) as reader:
        assert seqs(take(reader, 2)) == list(range(4, 12))
        (unknown,) = take(reader, 1)
        assert isinstance(unknown, Unreadable)
        assert unknown.unknown_schema


def test_what_was_aborted_does_not_come_and_leaves_no_lag(settings: KafkaSettings) -> None:
    """Also the markers behind the last record are passed, and a commit covers them."""
    producer = Producer({**settings.producer_config(), "transactional.id": f"{settings.topic_prefix}t", "log_level": 0})
    producer.init_transactions(30)
    value = Codec().frame("", schema("EpisodeFinalized"), EPISODE.encode())
    for commits in (True, False, True, False):
        producer.begin_transaction()
        producer.produce(f"{settings.topic_prefix}episodes", value, KEY)
        producer.flush(30)
        (producer.commit_transaction if commits else producer.abort_transaction)(30)
    with Reader("committed", topics="episodes", settings=settings) as reader:
        found = take(reader, 2)
        assert [type(event) for event in found] == [EpisodeFinalized] * 2
        assert [event.at.offset for event in found] == [0, 4]
        until("the markers are passed", lambda: reader.poll(0.05) is None and reader.lag().events == 0, 30)
        assert sum(reader.commit().values()) == 8
