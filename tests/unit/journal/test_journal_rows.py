"""Rows written to a journal come back as the batches that they were, bit for bit, however they were written."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.kafka.model import StreamId
from runbus.recorder import ABSENT
from runbus.recorder.counts import StreamCounts
from runbus.recorder.events import StepsRecorded
from runbus.recorder.journal.rows import BadRows, Batches, part_of, rows_since
from runbus.recorder.row_words import StepWords
from runbus.recorder.stream import RecordedStream
from runbus.recorder.vector import VectorRows
from runbus.recorder.vector_calls import VectorReset, VectorStep
from runbus.schemas.batch import NO_PARENT, NO_SEED, NO_TICK, StepBatch, encode

NOTHING = {0, NO_TICK, NO_SEED, NO_PARENT}
ID = StreamId("run-1", "agent-0", 7)


def recorded() -> list[StepsRecorded]:
    """Return batches with everything that a row can have: single steps, then vector calls, then other layouts."""
    published: list[StepsRecorded] = []
    stream = RecordedStream(ID, "all", published.append)
    stream.reset({"a": np.arange(3), "b": "text"}, 2**80, {"i": 1}, 0, None, {"task": "qa", "split": "é"})
    for n in range(20):
        if n % 3 == 0:
            stream.log({"loss": n / 3, "nan": float("nan")})
        words: StepWords = {"kind": "tool", "status": "error", "parent": 3, "stop": "s"} if n == 7 else {}
        info = {"n": n} if n % 4 == 0 else None
        seen = {"a": np.arange(3) + n, "b": "x" * n}
        stream.step(n, n * 0.1, n == 10, n == 11, seen, info, n % 2, n if n > 5 else None, words)
    stream.step(ABSENT, object(), False, False, {"a": np.arange(3), "b": "no action, no reward"}, None, 0, None)
    vector = VectorRows(stream, lambda _: None)
    vector.reset(VectorReset(np.zeros((4, 2)), [1, None, 3, 2**70], labels={"group": "g"}))
    for n in range(3):
        values = np.full((4, 2), n, float)
        ends = np.array([False, n == 1, False, False])
        infos = [{"r": 1}, {}, {}, {}]
        extras = {"q": np.arange(4.0)}
        vector.step(VectorStep(np.arange(4), np.full(4, n), ends, ends & False, values, infos=infos, extras=extras))
    for n in range(5):
        stream.step([1] * n, 0.0, False, False, np.ones(n), None, 0, None)
    stream.close()
    return published


def one(batch: StepsRecorded) -> StepBatch:
    """Return what is sent of a batch."""
    return batch.batch(sent_at=1)


@pytest.mark.parametrize("rows_at_once", [1, 2, 7, 1000])
def test_batches_come_back_as_they_were(rows_at_once: int) -> None:
    """Written in any pieces, the records make the same Avro bodies, in the same batches."""
    batches = recorded()
    assert len(batches) > 3
    counts = StreamCounts(ID)
    reader = Batches(counts)
    back: list[StepsRecorded] = []
    for batch in batches:
        for seq, data in pieces(batch, rows_at_once):
            back += reader.take(seq, data)
    back += reader.rest()
    assert [(b.first_seq, b.count) for b in back] == [(b.first_seq, b.count) for b in batches]
    for ours, theirs in zip(back, batches, strict=True):
        ours.counts.drop(theirs.counts.dropped - ours.counts.dropped)
        assert encode(one(ours)) == encode(one(theirs))


def pieces(batch: StepsRecorded, rows_at_once: int) -> list[tuple[int, bytes]]:
    """Return the records that a journal writes if it is asked after so many rows; a block is not cut."""
    found: list[tuple[int, bytes]] = []
    begins = [0]
    for block in batch.blocks:
        begins.append(begins[-1] + block.size)
    starts = begins[:-1] if batch.blocks else list(range(0, batch.count, rows_at_once))
    for start, stop in zip(starts, [*starts[1:], batch.count], strict=True):
        part = part_of(batch, 0, stop) if stop < batch.count else batch
        said = start > 0 and (bool(batch.blocks) or any(part_of(batch, 0, start).rows.actions))
        found.append((batch.first_seq + start, rows_since(part, start, action_said=said)))
    return found


def test_a_part_of_a_batch_has_the_same_rows() -> None:
    """Any stretch of a batch is what the batch's slice is, blocks that are cut too."""
    for batch in recorded():
        for start, stop in ((0, batch.count), (1, batch.count), (0, batch.count - 1), (1, max(2, batch.count // 2))):
            if start >= stop or stop > batch.count:
                continue
            part, slice_ = one(part_of(batch, start, stop)), one(batch).slice(start, stop)
            # a slice of a slice is the same rows without columns that nothing is said in
            assert said_in(part) == said_in(slice_), (start, stop)


def said_in(batch: StepBatch) -> dict[str, Any]:
    """Return what a batch says of its rows."""
    columns = {name: getattr(batch.columns, name) for name in batch.columns.__slots__}
    return {
        "columns": {
            name: repr(column.tolist())  # NaN too
            for name, column in columns.items()
            if column is not None and not set(column.tolist()) <= NOTHING
        },
        "values": (batch.action, batch.observation),
        "extras": sorted((e.name, e.rows.tolist(), repr(e.values.tolist())) for e in batch.extras if len(e.rows)),
        "labels": sorted((x.name, x.rows.tolist(), x.values) for x in batch.labels if len(x.rows)),
        "texts": [texts for texts in (batch.info, batch.large_seeds, batch.stop) if any(texts)],
        "header": batch.header,
    }


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 40))
@settings(max_examples=60)
def test_rows_written_again_or_missing_cost_nothing_else(starts: list[int], wanted: int) -> None:
    """Records in any order of pieces, repeated ones and gaps: each row that was written comes once, in order."""
    published: list[StepsRecorded] = []
    stream = RecordedStream(ID, "all", published.append)
    for n in range(40):
        stream.step(n, float(n), False, False, np.full(2, n), None, 0, None)
    stream.close()
    (batch,) = published
    reader = Batches(StreamCounts(ID), wanted)
    records = [(0, rows_since(part_of(batch, 0, 1), 0))]
    for start in sorted(starts):
        records += [
            (n, rows_since(part_of(batch, 0, n + 1), n, action_said=True)) for n in range(start, start + 10) if n
        ]
    written = {n for seq, data in records for n in [seq] if n >= wanted}
    back: list[StepsRecorded] = []
    for seq, data in records:
        back += reader.take(seq, data)
    back += reader.rest()
    rewards = [value for b in back for value in one(b).columns.reward]
    seqs = [n for b in back for n in range(b.first_seq, b.first_seq + b.count)]
    assert rewards == seqs
    assert seqs == sorted(set(seqs))
    assert set(seqs) == {n for n in written if n < 40}


def test_rows_without_the_beginning_of_their_batch_are_refused() -> None:
    """They have no layout; the error says so, and the next batch is read."""
    first, second = recorded()[:2]
    reader = Batches(StreamCounts(ID))
    with pytest.raises(BadRows, match="beginning is not here"):
        list(reader.take(first.first_seq + 1, rows_since(first, 1, action_said=True)))
    assert not list(reader.take(second.first_seq, rows_since(second, 0)))
    assert [b.first_seq for b in reader.rest()] == [second.first_seq]


@given(st.data())
@settings(max_examples=150)
def test_data_that_lies_is_refused_and_nothing_worse(data: Any) -> None:
    """Bytes that are no rows raise BadRows, whatever they are."""
    batch = recorded()[0]
    raw = bytearray(rows_since(batch, 0))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    reader = Batches(StreamCounts(ID))
    try:
        list(reader.take(0, bytes(raw)))
        list(reader.rest())
    except BadRows:
        pass


def test_what_a_newer_version_adds_is_said() -> None:
    """Flags that this version does not know are no rows of it."""
    raw = bytearray(rows_since(recorded()[0], 0))
    raw[0] |= 0x40
    with pytest.raises(BadRows, match="update runbus"):
        list(Batches(StreamCounts(ID)).take(0, bytes(raw)))
