"""What is missing, dropped or repeated in a stream; and what a commit carries of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.kafka.model import StreamId
from runbus.reader.sequences import _CARRIED_BYTES, Arrived, Sequences, digest_of
from runbus.schemas.batch import BatchHeader


def header(first: int, count: int = 4, dropped: int = 0, agent: str = "agent-0") -> BatchHeader:
    """Return the header of a batch."""
    return BatchHeader("run-1", agent, 1, first, count, dropped, 1)


def stream(agent: str = "agent-0") -> StreamId:
    """Return a stream."""
    return StreamId("run-1", agent, 1)


def take(sequences: Sequences, taken: BatchHeader) -> Arrived:
    """Let a batch arrive and keep it."""
    id_ = StreamId(taken.run_id, taken.agent_id, taken.attempt)
    arrived = sequences.arrive(id_, taken)
    sequences.keep(id_, arrived.after)
    return arrived


def test_a_stream_that_is_read_from_the_partitions_start_begins_with_seq_0() -> None:
    """What is missing in front of its first batch is a gap, and its first header's drops are new."""
    arrived = take(Sequences(whole=True), header(4, dropped=4))
    assert (arrived.gap, arrived.newly_dropped, arrived.late) == ((0, 3), 4, False)


def test_a_stream_that_is_met_in_the_middle_has_no_gap_in_front() -> None:
    """Nobody knows what was before; the next gap counts, and a late batch from before is not called a repeat."""
    sequences = Sequences()
    assert take(sequences, header(100, dropped=7))[1:5] == (None, 0, False, 0)
    assert take(sequences, header(108, dropped=9))[1:3] == ((104, 107), 2)
    before = take(sequences, header(96, dropped=7))
    assert (before.fresh, before.late, before.repeated, before.newly_dropped) == (None, True, 0, 0)
    assert take(sequences, header(96)).fresh == ()


def test_to_arrive_changes_nothing_until_it_is_kept() -> None:
    """An interrupt between the two finds everything as it was."""
    sequences = Sequences(whole=True)
    assert sequences.arrive(stream(), header(4)) == sequences.arrive(stream(), header(4))
    assert not sequences.begun


def test_only_what_is_new_of_a_batch_is_fresh() -> None:
    """A batch over two gaps has two stretches that are new."""
    sequences = Sequences(whole=True)
    for first in (0, 6, 12):
        take(sequences, header(first, 4))
    arrived = take(sequences, header(2, 12))
    assert (arrived.fresh, arrived.repeated, arrived.late) == (((2, 4), (8, 10)), 8, True)


def test_a_commit_carries_what_a_restart_has_to_know() -> None:
    """Gap, repeat and drop across a restart are told as without it; a stream that is not known begins with 0."""
    sequences = Sequences(whole=True)
    take(sequences, header(0))
    take(sequences, header(8, dropped=2))
    restored = Sequences.decode(sequences.encode())
    assert restored is not None
    assert take(restored, header(4)).late
    assert take(restored, header(8, dropped=2)).fresh == ()
    assert take(restored, header(20, dropped=3))[1:3] == ((12, 19), 1)
    assert take(restored, header(4, agent="new")).gap == (0, 3)


def test_a_commit_fits_beside_an_offset_and_the_newest_streams_come_first() -> None:
    """Of a thousand streams some hundred are carried; the others are met in the middle, without a false gap."""
    sequences = Sequences(whole=True)
    for number in range(1000):
        take(sequences, header(0, 50_000, dropped=9, agent=f"agent-{number}"))
    text = sequences.encode()
    assert len(text) < 4096
    restored = Sequences.decode(text)
    assert restored is not None
    assert not restored.whole
    carried = [n for n in range(1000) if take(restored, header(50_001, agent=f"agent-{n}")).gap is not None]
    assert carried == list(range(1000 - len(carried), 1000))
    assert len(carried) > 150
    assert _CARRIED_BYTES * 5 // 4 < 4096 - 16


def test_of_many_gaps_the_older_ones_are_one() -> None:
    """A late step is rather handed out again than not at all."""
    sequences = Sequences(whole=True)
    for first in range(0, 100, 10):
        take(sequences, header(first))
    restored = Sequences.decode(sequences.encode())
    assert restored is not None
    assert take(restored, header(4)).fresh is None
    assert take(restored, header(94)).fresh is None


def test_a_text_of_another_program_is_none_of_ours() -> None:
    """Also one that was cut."""
    for text in ("", None, '{"v":1}', "runbus.reader.1:", "runbus.reader.1:~~", Sequences().encode()[:-1] + "\x7f"):
        assert Sequences.decode(text) is None


def test_what_was_forgotten_is_no_gap() -> None:
    """After records were deleted nothing is known of what is missing."""
    sequences = Sequences(whole=True)
    take(sequences, header(0))
    sequences.forget()
    assert take(sequences, header(50)).gap is None


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2**40), st.integers(1, 300), st.integers(0, 2**40)), max_size=12
    )
)
@settings(max_examples=80, deadline=None)
def test_what_is_carried_is_what_was_kept(batches: list[tuple[int, int, int, int]]) -> None:
    """Any batches in any order: the next seq and the drops of each stream come back."""
    sequences = Sequences()
    for number, first, count, dropped in batches:
        take(sequences, header(first, count, dropped, f"agent-{number}"))
    restored = Sequences.decode(sequences.encode())
    assert restored is not None
    for number in {n for n, *_ in batches}:
        kept = sequences._streams[stream(f"agent-{number}")]
        found = restored._carried[digest_of(stream(f"agent-{number}"))]
        assert (found.tracker.next_seq, found.dropped) == (kept.tracker.next_seq, kept.dropped)
