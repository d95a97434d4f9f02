"""Decides where a new owner starts."""

import pytest

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import DeadLetterRate
from runbus.kafka.model import LogShrank
from runbus.sink.opening import Opening, opening

PENDING = Intent("t1", 19, "s")
DONE = Intent("t1")


@pytest.mark.parametrize(
    ("committed", "low", "high", "expected"),
    [
        (None, 3, 9, Opening(3, 3, known=False)),
        (Committed(10, DONE), 0, 30, Opening(10, 10)),
        (Committed(10, None), 0, 30, Opening(10, 10)),
        (Committed(10, PENDING), 0, 30, Opening(10, 10, PENDING)),
        (Committed(10, Intent("t0", 19, "s")), 0, 5, Opening(0, 0, known=False)),
        (Committed(10, Intent("t0")), 2, 500, Opening(2, 2, known=False)),
        (Committed(10, DONE), 15, 30, Opening(15, 15, None, (10, 14), known=False)),
        (Committed(10, PENDING), 15, 30, Opening(10, 15, PENDING, (10, 14))),
        (Committed(10, PENDING), 25, 30, Opening(25, 25, None, (10, 24), known=False)),
        (Committed(30, DONE), 0, 30, Opening(30, 30)),
    ],
    ids=[
        "a new group reads everything",
        "after a clean stop",
        "another tool's commit",
        "a range is pending",
        "a re-created topic that is shorter",
        "a re-created topic that is longer",
        "retention passed",
        "retention passed into the pending range",
        "retention passed the pending range",
        "nothing new",
    ],
)
def test_opening(committed: Committed | None, low: int, high: int, expected: Opening) -> None:
    """Each state of group and log has one start."""
    assert opening(committed, "t1", low, high) == expected


def test_a_log_that_shrank_stops_the_sink() -> None:
    """A committed offset beyond the log's end under the same topic id is a person's to judge."""
    with pytest.raises(LogShrank, match="ends at 9"):
        opening(Committed(10, DONE), "t1", 0, 9)


@pytest.mark.parametrize(
    "metadata",
    [None, "", "x", "{}", "[1]", '{"topic":"a","hi":"x","salt":""}', '{"topic":"a","hi":1,"salt":"","poison":[1]}'],
)
def test_metadata_of_others_is_no_intent(metadata: str | None) -> None:
    """Whatever another tool wrote into a commit is not taken for an intent."""
    assert Intent.decode(metadata) is None


def test_an_intent_survives_its_commit() -> None:
    """What is written is what the next owner reads."""
    whole = Intent("t1", 19, "s", DeadLetterRate(3, 1.5, 20.25), overlaps=True, repair=2)
    assert [Intent.decode(intent.encode()) for intent in (PENDING, whole)] == [PENDING, whole]
    assert Intent.decode('{"v":1,"topic":"t1","hi":19,"salt":"s"}') == PENDING
    assert PENDING.pending
    assert not DONE.pending
