"""What must hold for any bytes, one function each: it returns, or it raises what is wrong.

`python -m tests.fuzz.run` feeds them; `test_fuzz_targets.py` feeds them the committed seeds.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import fastavro

from runbus.config.errors import MAX_REASON, InvalidValue
from runbus.schemas import tree
from runbus.schemas.avsc import schema
from runbus.schemas.batch import decode, decode_header, encode
from runbus.schemas.codec import Codec, split
from runbus.schemas.errors import RegistryMissing, UnknownSchema
from runbus.schemas.layout import Layout, check_layout, decode_value, pack, unpack
from runbus.schemas.record import read_record
from runbus.schemas.walk import walk
from runbus.sink.api import FramedRecord
from runbus.sink.container import Container
from runbus.sink.records import read
from runbus.sink.routes import ROUTES
from runbus.sink.values import check, rows, without
from tests.fuzz.events import KINDS
from tests.fuzz.rows import step_rows

STEP_BATCH = schema("StepBatch")
_STEPS = next(route for route in ROUTES if route.batched)


def _refused(work: Callable[[], object]) -> bool:
    """Return whether the bytes are none; any other exception, or a reason without an end, is a defect."""
    try:
        work()
    except InvalidValue as error:
        reason = str(error)
    else:
        return False
    assert len(reason) <= MAX_REASON
    return True


def batch(data: bytes) -> None:
    """A StepBatch decodes to what can be encoded again and means the same, or is refused; its header alone likewise."""
    header_refused = _refused(lambda: decode_header(data))
    if _refused(lambda: decode(data)):
        return
    assert not header_refused
    assert walk(STEP_BATCH, data) == len(data)
    again = encode(decode(data))
    assert decode_header(data) == decode_header(again) == decode(again).header
    assert step_rows(again) == step_rows(data)


def event(data: bytes) -> None:
    """Each kind of event decodes to what can be encoded again, or is refused."""
    for kind in KINDS:
        if not _refused(lambda kind=kind: kind.decode(data)):  # type: ignore[misc]  # bound now, called now
            found = kind.decode(data)
            assert kind.decode(found.encode()).encode() == found.encode()


def framing(data: bytes) -> None:
    """A value has a schema and a body, or none; the sink reads it either way."""
    record = read(1, None, data, 0, batched=True)
    assert 1 <= record.steps <= 1_000_000
    if _refused(lambda: split(data)):
        assert record.ref is None
        return
    assert (record.ref, record.start) == split(data)
    try:
        writer, body = Codec().open(data, "StepBatch")
    except (InvalidValue, UnknownSchema, RegistryMissing):
        return
    assert data.endswith(body)
    _refused(lambda: decode(body, writer))


def missing(data: bytes) -> None:
    """The rows of a value that are not stored are those that its pieces hold; the first byte says which are."""
    record = FramedRecord(1, None, data, 0, 0, None, min(1, len(data)))
    if _refused(lambda: check(_STEPS, record, STEP_BATCH)):
        return
    meant = step_rows(data[1:])
    assert rows(_STEPS, record, STEP_BATCH) == len(meant)
    present = {row["seq"] for i, row in enumerate(meant) if data[0] >> i % 8 & 1}
    found = [row for piece in without(_STEPS, record, STEP_BATCH, present) for row in step_rows(piece)]
    assert found == [row for row in meant if row["seq"] not in present]


def container(data: bytes) -> None:
    """Bodies, cut at each `Obj`, are blocks of their own: what is good comes back, what is bad breaks alone."""
    bodies = data.split(b"Obj")
    built = bytes(Container(STEP_BATCH, "topic", 3, [(n, body, 0) for n, body in enumerate(bodies)]))
    blocks = list(fastavro.block_reader(io.BytesIO(built)))
    assert len(blocks) == len(bodies)
    for n, (block, body) in enumerate(zip(blocks, bodies, strict=True)):
        if _refused(lambda body=body: read_record(body, STEP_BATCH, STEP_BATCH)):  # type: ignore[misc]  # as above
            continue
        (record,) = block
        assert isinstance(record, dict)
        assert record["kafka_offset"] == n
        bad_struct = _refused(lambda body=body: decode(body)) and record["record_end"] == f"struct {n}"  # type: ignore[misc]
        assert bad_struct or record["record_end"] == f"end {n}"


def layout(data: bytes) -> None:
    """A dtype up to the first zero byte, a shape of the bytes up to the next, and the bytes of a value or a column."""
    dtype, _, rest = data.partition(b"\0")
    lengths, _, raw = rest.partition(b"\0")
    text, shape = dtype.decode("utf-8", "replace"), tuple(lengths)
    _refused(lambda: tree.parse(text))
    for width in {-1, 0, len(raw)}:
        found = Layout(text, shape, width)
        if _refused(lambda found=found: check_layout(found)):  # type: ignore[misc]  # as above
            continue
        _refused(lambda found=found: decode_value(found, raw))  # type: ignore[misc]
        for count in (1, 3):
            if not _refused(lambda found=found, count=count: unpack(found, raw, count)):  # type: ignore[misc]
                assert pack(found, unpack(found, raw, count)) == raw


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (batch, event, framing, missing, container, layout)
}
