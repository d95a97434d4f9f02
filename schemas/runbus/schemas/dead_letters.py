"""Reads a dead letter as a row of its table.

Everything but the bytes is in the headers of a letter (runbus.kafka.headers writes them). A reader relies
on none of them: a header may be missing or odd, and another program may write to the topic too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Self

from runbus.kafka.headers import INT64, NONE, number_of, position_key, position_of, text_of
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.record import read_record, write_record

# What a DateTime64 of ClickHouse can hold, in milliseconds: to the end of 2299.
_LATEST_MS = 10_413_791_999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """A dead letter as a row of the table `dead_letters`; see dead_letter.avsc for each field."""

    SCHEMA: ClassVar[str] = "DeadLetter"
    key: str
    topic: str = ""
    topic_id: str = ""
    partition: int = NONE
    offset: int = NONE
    component: str = ""
    run_id: str = ""
    agent_id: str = ""
    attempt: int = NONE
    seq: int = NONE
    count: int = NONE
    source_key: bytes = b""
    value: bytes | None = None
    headers: dict[str, bytes] = field(default_factory=dict)
    schema_id: str = ""
    error: str = ""
    failed_at: int = 0

    @classmethod
    def of(
        cls, own_key: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes], timestamp_ms: int
    ) -> Self:
        """Return the row of any record of the topic `dead-letters`; what it does not say has its default.

        Args:
            own_key: the letter's own position as a key; it names a letter that does not say what it is about.
            key, value, headers, timestamp_ms: of the record.
        """
        topic = text_of(headers, "topic")
        partition, offset = position_of(headers)
        source_key = headers.get("key", (key or b"") if offset < 0 else b"")
        run_id, agent_id = _stream(headers, source_key)
        attempt, seq = number_of(headers, "attempt", INT64), number_of(headers, "seq", INT64)
        if offset >= 0:
            names = position_key(topic, partition, offset)
        else:
            names = f"{topic}-{run_id}/{agent_id}/{attempt}-{seq}" if topic and run_id and seq >= 0 else own_key
        return cls(
            key=names,
            topic=topic,
            topic_id=text_of(headers, "topic_id"),
            partition=partition,
            offset=offset,
            component=text_of(headers, "component"),
            run_id=run_id,
            agent_id=agent_id,
            attempt=attempt,
            seq=seq,
            count=number_of(headers, "count", INT64),
            source_key=source_key,
            value=value,
            headers=dict(headers),
            schema_id=text_of(headers, "schema_id"),
            error=text_of(headers, "error"),
            failed_at=min(max(timestamp_ms, 0), _LATEST_MS) * 1000,
        )

    def encode(self) -> bytes:
        """Return the Avro body."""
        return write_record(schema(self.SCHEMA), asdict(self))

    @classmethod
    def decode(cls, body: bytes, writer: AvroSchema) -> Self:
        """Return the row of an Avro body. Raises InvalidValue."""
        return cls(**read_record(body, writer, schema(cls.SCHEMA)))


def _stream(headers: Mapping[str, bytes], source_key: bytes) -> tuple[str, str]:
    """Return run and agent: as the letter says, else as the key of its source does (run_id/agent_id)."""
    if "run_id" in headers:
        return text_of(headers, "run_id"), text_of(headers, "agent_id")
    run_id, slash, rest = source_key.decode("utf-8", "replace").partition("/")
    return (run_id, rest.partition("/")[0]) if slash else ("", "")
