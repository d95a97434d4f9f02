"""Reads a dead letter as a row of its table.

Everything but the bytes is in the headers of a letter (runbus.kafka.headers writes them). Whoever reads one expects
nothing: a header may be missing or odd, and another program may write to the topic too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Self

from runbus.kafka.headers import position_key
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.record import read_record, write_record

_DIGITS = re.compile(rb"\d{1,19}")
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
# What a DateTime64 of ClickHouse can hold, in milliseconds: to the end of 2299.
_LATEST_MS = 10_413_791_999_999
_NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """A dead letter as a row of the table `dead_letters`; see dead_letter.avsc for each field."""

    SCHEMA: ClassVar[str] = "DeadLetter"
    key: str
    topic: str = ""
    topic_id: str = ""
    partition: int = _NONE
    offset: int = _NONE
    component: str = ""
    run_id: str = ""
    agent_id: str = ""
    attempt: int = _NONE
    seq: int = _NONE
    count: int = _NONE
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
        topic = _text(headers, "topic")
        partition, offset = _number(headers, "partition", _INT32), _number(headers, "offset", _INT64)
        if not topic or partition < 0 or offset < 0:
            partition = offset = _NONE
        source_key = headers.get("key", (key or b"") if offset < 0 else b"")
        run_id, agent_id = _stream(headers, source_key)
        attempt, seq = _number(headers, "attempt", _INT64), _number(headers, "seq", _INT64)
        if offset >= 0:
            names = position_key(topic, partition, offset)
        else:
            names = f"{topic}-{run_id}/{agent_id}/{attempt}-{seq}" if topic and run_id and seq >= 0 else own_key
        return cls(
            key=names,
            topic=topic,
            topic_id=_text(headers, "topic_id"),
            partition=partition,
            offset=offset,
            component=_text(headers, "component"),
            run_id=run_id,
            agent_id=agent_id,
            attempt=attempt,
            seq=seq,
            count=_number(headers, "count", _INT64),
            source_key=source_key,
            value=value,
            headers=dict(headers),
            schema_id=_text(headers, "schema_id"),
            error=_text(headers, "error"),
            failed_at=min(max(timestamp_ms, 0), _LATEST_MS) * 1000,
        )

    def encode(self) -> bytes:
        """Return the Avro body."""
        return write_record(schema(self.SCHEMA), asdict(self))

    @classmethod
    def decode(cls, body: bytes, writer: AvroSchema) -> Self:
        """Return the row of an Avro body. Raises InvalidValue."""
        return cls(**read_record(body, writer, schema(cls.SCHEMA)))


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return headers.get(name, b"").decode("utf-8", "replace")


def _number(headers: Mapping[str, bytes], name: str, most: int) -> int:
    """Return a header's number from 0 to `most`, else -1."""
    text = headers.get(name, b"")
    number = int(text) if _DIGITS.fullmatch(text) else _NONE
    return number if number <= most else _NONE


def _stream(headers: Mapping[str, bytes], source_key: bytes) -> tuple[str, str]:
    """Return run and agent: as the letter says, else as the key of its source does (run_id/agent_id)."""
    if "run_id" in headers:
        return _text(headers, "run_id"), _text(headers, "agent_id")
    run_id, slash, rest = source_key.decode("utf-8", "replace").partition("/")
    return (run_id, rest.partition("/")[0]) if slash else ("", "")
