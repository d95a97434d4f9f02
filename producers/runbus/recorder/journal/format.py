"""Defines the bytes of a journal's segment: a header, then records, each with a length and a checksum.

| part | bytes |
|---|---|
| header | `RBJOURNL`, u16 version, u32 length and u32 crc32 (with the version) of a JSON text: whose rows these are |
| record | `B5 52 42 4A`, u32 length of the data, u8 kind, u64 seq; the data; u32 crc32 of all before it |

Little-endian. A record's mark lets a reader find the next one behind damage. A version changes only if an old reader
would misread a segment; a kind that a reader does not know is skipped and counted.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from runbus.config.errors import RunBusError
from runbus.kafka.model import StreamId

MAGIC = b"RBJOURNL"
VERSION = 1
MARK = b"\xb5RBJ"

STARTED, ROWS, BATCH, ACK, FINISHED = range(1, 6)
KINDS = {STARTED: "STARTED", ROWS: "ROWS", BATCH: "BATCH", ACK: "ACK", FINISHED: "FINISHED"}

_FILE = struct.Struct("<8sHII")
HEAD = struct.Struct("<4sIBQ")  # mark, length, kind, seq
FRAME_BYTES = HEAD.size + 4  # what a record has beside its data
_ACK = struct.Struct("<iqQ")
NO_PARTITION = -1


class NotASegment(RunBusError):
    """The file has no header of a journal."""


class NewerSegment(RunBusError):
    """A newer version of RunBus wrote the file."""


@dataclass(frozen=True, slots=True)
class Header:
    """Says whose rows a segment has.

    Attributes:
        stream: run, agent, attempt.
        host, boot, pid: of the process that wrote it.
        segment: its number in the journal, from 0.
        mode: `batch` or `step`.
    """

    stream: StreamId
    host: str = ""
    boot: str = ""
    pid: int = 0
    segment: int = 0
    mode: str = "batch"

    def encode(self) -> bytes:
        """Return the first bytes of the segment."""
        text = json.dumps(
            {
                "run": self.stream.run_id,
                "agent": self.stream.agent_id,
                "attempt": self.stream.attempt,
                "host": self.host,
                "boot": self.boot,
                "pid": self.pid,
                "segment": self.segment,
                "mode": self.mode,
            }
        ).encode()
        return _FILE.pack(MAGIC, VERSION, len(text), _header_crc(VERSION, text)) + text


class Record(NamedTuple):
    """One record: where it begins in its segment, and what it says."""

    at: int
    kind: int
    seq: int
    data: bytes


class Damage(NamedTuple):
    """Bytes [at, end) of a segment that are no record; `torn`: none follows, so a write was cut short."""

    at: int
    end: int
    torn: bool


class Ack(NamedTuple):
    """How far Kafka has the stream.

    Attributes:
        partition, offset: of a record below which the log has nothing that is not acknowledged; -1 = none was needed.
        next_seq: every row below it is delivered or given up.
        dropped: how many of these were given up.
    """

    partition: int
    offset: int
    next_seq: int
    dropped: int

    def encode(self) -> bytes:
        """Return the data of its record."""
        return _ACK.pack(self.partition, self.offset, self.dropped)

    @classmethod
    def decode(cls, record: Record) -> Ack:
        """Return what a record says. Raises struct.error if it is none."""
        partition, offset, dropped = _ACK.unpack(record.data)
        return cls(partition, offset, record.seq, dropped)


def record(kind: int, seq: int, data: bytes) -> bytes:
    """Return a record's bytes."""
    raw = HEAD.pack(MARK, len(data), kind, seq) + data
    return raw + crc32(raw).to_bytes(4, "little")


def read_header(data: bytes) -> tuple[Header, int]:
    """Return the header of a segment, and where its records begin.

    Raises:
        NotASegment: it has none, or it is damaged.
        NewerSegment: update RunBus to read it.
    """
    if len(data) < _FILE.size:
        raise NotASegment(f"{len(data)} bytes are no segment of a journal")
    magic, version, length, crc = _FILE.unpack_from(data)
    end = _FILE.size + length
    text = data[_FILE.size : end]
    whole = magic == MAGIC and len(text) == length and _header_crc(version, text) == crc
    if whole and version > VERSION:
        raise NewerSegment(f"a newer RunBus wrote this segment (format {version}, known: {VERSION}): update runbus")
    if not whole or version != VERSION:
        raise NotASegment("no header of a journal, or a damaged one")
    try:
        said = json.loads(text)
        stream = StreamId(str(said["run"]), str(said["agent"]), int(said["attempt"]))
        header = Header(
            stream,
            str(said.get("host", "")),
            str(said.get("boot", "")),
            int(said.get("pid", 0)),
            int(said.get("segment", 0)),
            str(said.get("mode", "batch")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NotASegment(f"the header of a journal says nothing useful: {error!r}") from error
    return header, end


def _header_crc(version: int, text: bytes) -> int:
    return crc32(text, version)


def read_records(data: bytes, at: int) -> Iterator[Record | Damage]:
    """Yield the records from byte `at` on, in their order, and what lies between them that is none."""
    size = len(data)
    while at < size:
        found = _record_at(data, at, size)
        if found is not None:
            yield found
            at += FRAME_BYTES + len(found.data)
            continue
        behind = at + 1
        while (behind := data.find(MARK, behind)) >= 0 and _record_at(data, behind, size) is None:
            behind += 1
        if behind < 0:
            yield Damage(at, size, torn=True)
            return
        yield Damage(at, behind, torn=False)
        at = behind


def _record_at(data: bytes, at: int, size: int) -> Record | None:
    start = at + HEAD.size
    if start > size:
        return None
    mark, length, kind, seq = HEAD.unpack_from(data, at)
    end = start + length
    if mark != MARK or end + 4 > size:
        return None
    if crc32(memoryview(data)[at:end]) != int.from_bytes(data[end : end + 4], "little"):
        return None
    return Record(at, kind, seq, data[start:end])
