"""The bytes of a segment: any damage costs the records that it is in, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.kafka.model import StreamId
from runbus.recorder.journal import format as module
from runbus.recorder.journal.format import (
    ACK,
    FRAME_BYTES,
    MARK,
    ROWS,
    VERSION,
    Ack,
    Damage,
    Header,
    NewerSegment,
    NotASegment,
    Record,
    read_header,
    read_records,
    record,
)

HEADER = Header(StreamId("run-1", "agent-0", 7), host="h", boot="b", pid=3, segment=2, mode="step")
DATA = [b"first", b"", MARK + b"looks like a record", bytes(200)]
PARTS = [record(ROWS, seq, data) for seq, data in enumerate(DATA)]
SEGMENT = HEADER.encode() + b"".join(PARTS)


def found(data: bytes) -> tuple[list[int], list[Damage]]:
    """Return the seqs of the records that are read, and the damage."""
    _, at = read_header(data)
    parts = list(read_records(data, at))
    return [p.seq for p in parts if isinstance(p, Record)], [p for p in parts if isinstance(p, Damage)]


def test_a_segment_reads_back() -> None:
    """Header and records, with their bytes."""
    header, at = read_header(SEGMENT)
    assert header == HEADER
    assert [(r.kind, r.seq, r.data) for r in read_records(SEGMENT, at) if isinstance(r, Record)] == [
        (ROWS, seq, data) for seq, data in enumerate(DATA)
    ]


def test_cut_at_every_byte_all_whole_records_are_read() -> None:
    """What is cut is a torn tail, nothing else."""
    begin = len(HEADER.encode())
    ends = [begin + sum(map(len, PARTS[: n + 1])) for n in range(len(PARTS))]
    for size in range(begin, len(SEGMENT)):
        seqs, damage = found(SEGMENT[:size])
        whole = sum(end <= size for end in ends)
        assert seqs == list(range(whole)), size
        at = ends[whole - 1] if whole else begin
        assert damage == ([Damage(at, size, torn=True)] if size > at else []), size
    for size in range(begin):
        with pytest.raises(NotASegment):
            read_header(SEGMENT[:size])


def test_with_any_byte_changed_one_record_is_lost() -> None:
    """The others are found behind it, and the damage is its bytes; a changed header is said to be none."""
    begin, at = len(HEADER.encode()), len(HEADER.encode())
    for seq, part in enumerate(PARTS):
        for byte in range(at, at + len(part)):
            for flip in (0x01, 0x80, 0xFF):
                data = bytearray(SEGMENT)
                data[byte] ^= flip
                seqs, damage = found(bytes(data))
                assert seqs == [n for n in range(len(PARTS)) if n != seq], byte
                assert [(d.at, d.end) for d in damage] == [(at, at + len(part))], byte
        at += len(part)
    for byte in range(begin):
        data = bytearray(SEGMENT)
        data[byte] ^= 0x01
        with pytest.raises((NotASegment, NewerSegment)):
            read_header(bytes(data))


@given(st.binary(max_size=300), st.lists(st.binary(max_size=40), max_size=4), st.binary(max_size=300))
def test_any_bytes_around_records_are_told_from_them(before: bytes, data: list[bytes], behind: bytes) -> None:
    """Every record is found wherever it lies; all bytes are a record's or damage, in order."""
    raw = before + b"".join(record(ROWS, seq, one) for seq, one in enumerate(data)) + behind
    parts = list(read_records(raw, 0))
    assert [(p.seq, p.data) for p in parts if isinstance(p, Record)][: len(data)] == list(enumerate(data))
    at = 0
    for part in parts:
        assert part.at == at
        at = part.end if isinstance(part, Damage) else part.at + FRAME_BYTES + len(part.data)
    assert at == len(raw)


def test_a_newer_version_is_said_to_be_newer() -> None:
    """A person has to update, and nothing is taken for damage."""
    text = b'{"what": "nobody knows"}'
    raw = module._FILE.pack(module.MAGIC, VERSION + 1, len(text), module._header_crc(VERSION + 1, text)) + text
    with pytest.raises(NewerSegment, match="update runbus"):
        read_header(raw)


def test_a_header_that_says_more_is_read() -> None:
    """A newer version of the same format may add to it."""
    text = b'{"run": "r", "agent": "a", "attempt": 1, "colour": "red"}'
    raw = module._FILE.pack(module.MAGIC, VERSION, len(text), module._header_crc(VERSION, text)) + text
    assert read_header(raw)[0].stream == StreamId("r", "a", 1)


def test_an_ack_reads_back() -> None:
    """With the seq of its record."""
    ack = Ack(partition=3, offset=10**12, next_seq=256, dropped=2)
    (read,) = read_records(record(ACK, ack.next_seq, ack.encode()), 0)
    assert isinstance(read, Record)
    assert Ack.decode(read) == ack
