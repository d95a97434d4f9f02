"""The audit of one stream, live: never two moments in one sum, and red only after two of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.identity.balance import Counted, Said, StreamBalance, Sums, sums
from runbus.dashboard.identity.letters import Letters
from runbus.dashboard.identity.watch import question, recorder_streams
from runbus.kafka.model import StreamId, TopicPartition
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from tests.unit.batches import make_body

STREAM = StreamId("run", "agent", 7)
FENCE = {TopicPartition("steps", 1): 50}
S = 1_000_000


def said(produced: int, delivered: int | None = None, dropped: int = 0, at: int = S) -> Said:
    """Return a word of a recorder; without more it has delivered all."""
    return Said(at, produced, produced - dropped if delivered is None else delivered, dropped)


def of(found: Sums) -> dict[str, int]:
    """Return the sums that are not 0, by their names."""
    names = ("stored", "dropped", "in_flight", "dead_letters", "missing", "duplicates")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


@pytest.mark.parametrize(
    ("word", "counted", "expected"),
    [
        (said(10), Counted(10, 10, 0), {"stored": 10}),
        (said(10, dropped=3), Counted(7, 7, 0), {"stored": 7, "dropped": 3}),
        (said(10), Counted(6, 6, 4), {"stored": 6, "dead_letters": 4}),
        (said(10), Counted(6, 6, 0), {"stored": 6, "missing": 4}),
        (said(10), Counted(12, 10, 0), {"stored": 12, "duplicates": 2}),
        (said(10, delivered=6), Counted(6, 6, 0), {"stored": 6, "in_flight": 4}),
        (said(10, delivered=6), Counted(9, 9, 0), {"stored": 9, "in_flight": 1}),
        (said(10, delivered=6), Counted(5, 5, 0), {"stored": 5, "in_flight": 4, "missing": 1}),
        # the broker had it, and the recorder was not told
        (said(10, dropped=3), Counted(9, 9, 0), {"stored": 9, "dropped": 1}),
        # it became a dead letter, and a retry has stored it since
        (said(10), Counted(10, 10, 4), {"stored": 10}),
        (said(0), Counted(0, 0, 0), {}),
    ],
)
def test_each_step_is_in_one_sum(word: Said, counted: Counted, expected: dict[str, int]) -> None:
    """What the recorder still had in hand is in flight at most, and the rest is missing."""
    found = sums(word, counted)
    assert of(found) == expected
    assert found.sound is not bool({"missing", "duplicates"} & expected.keys())


steps = st.lists(st.sampled_from(("stored", "dropped", "dead", "open", "arrived")), max_size=40)


@given(steps, st.integers(0, 5), st.integers(0, 5))
def test_it_is_sound_as_long_as_nothing_was_lost_and_nothing_is_there_twice(
    fates: list[str], lost: int, twice: int
) -> None:
    """Whatever became of each step since: what was open may have arrived, be dropped later, or be open still."""
    stored = fates.count("stored") + fates.count("arrived")
    lost = min(lost, fates.count("stored"))
    twice = min(twice, stored - lost)
    delivered = fates.count("stored") + fates.count("dead")
    word = Said(S, len(fates), delivered, fates.count("dropped"))
    counted = Counted(stored - lost + twice, stored - lost, fates.count("dead"))
    found = sums(word, counted)
    parts = found.stored + found.dropped + found.in_flight + found.dead_letters + found.missing
    assert found.produced == parts - found.duplicates
    assert found.duplicates == twice
    assert found.missing == max(0, lost - fates.count("arrived"))  # one that arrived since can hide one that is lost
    assert found.in_flight <= word.in_hand


@given(steps, steps)
def test_what_is_settled_is_not_counted_again(first: list[str], second: list[str]) -> None:
    """The sums of all steps are the same, whether all were counted or the later ones only."""

    def counts(fates: list[str]) -> tuple[int, int, int]:
        fates = ["stored" if fate in ("open", "arrived") else fate for fate in fates]
        return fates.count("stored"), fates.count("dropped"), fates.count("dead")

    stored, dropped, dead = counts(first)
    before = sums(Said(S, len(first), stored + dead, dropped), Counted(stored, stored, dead))
    more = tuple(a + b for a, b in zip(counts(first), counts(second), strict=True))
    word = Said(2 * S, len(first) + len(second), more[0] + more[2], more[1])
    later = counts(second)
    assert sums(word, Counted(later[0], later[0], later[2]), before) == sums(word, Counted(more[0], more[0], more[2]))


def decided(balance: StreamBalance, word: Said, counted: Counted) -> StreamBalance:
    """Let a moment be decided."""
    balance.begin(word, FENCE)
    balance.decide(counted)
    return balance


def state(balance: StreamBalance, now_s: float = 1.0) -> str:
    """Return how it stands, with a patience of 10 s."""
    return balance.state(int(now_s * S), 10 * S)


def test_it_is_false_after_two_moments_and_true_again_after_one() -> None:
    """A row that comes late by a moment is no loss, and after a doubt everything is counted again."""
    balance = decided(StreamBalance(STREAM), said(10), Counted(10, 10, 0))
    assert (state(balance), balance.first) == ("true", 10)
    decided(balance, said(20), Counted(8, 8, 0))
    assert (state(balance), balance.first) == ("moving", 0)
    decided(balance, said(30), Counted(28, 28, 0))
    assert state(balance) == "false"
    assert balance.sums is not None
    assert balance.sums.missing == 2
    assert state(decided(balance, said(40), Counted(40, 40, 0))) == "true"


def test_a_moment_holds_until_the_next_takes_too_long() -> None:
    """A sink that is behind by seconds is as it should be; one that stands still is waited for."""
    balance = decided(StreamBalance(STREAM), said(10), Counted(10, 10, 0))
    balance.begin(said(20, at=5 * S), FENCE)
    assert state(balance, 14.9) == "true"
    assert state(balance, 15.1) == "moving"
    assert balance.to_go({}) == 50
    assert balance.to_go({TopicPartition("steps", 1): 48}) == 2
    assert balance.to_go({TopicPartition("steps", 1): 60}) == 0


def test_nothing_is_said_before_the_first_count() -> None:
    """It is neither true nor false."""
    assert state(StreamBalance(STREAM)) == "moving"


def test_the_last_word_of_a_stream_is_checked_once() -> None:
    """Unless something is wrong with it: then it needs its second moment too."""
    last = replace(said(10), ended=True)
    balance = decided(StreamBalance(STREAM), last, Counted(10, 10, 0))
    assert not balance.wants
    assert state(balance, 1000) == "true"
    wrong = decided(StreamBalance(STREAM), last, Counted(9, 9, 0))
    assert wrong.wants
    decided(wrong, last, Counted(9, 9, 0))
    assert (wrong.wants, state(wrong)) == (False, "false")


def test_an_open_step_keeps_what_is_below_it_open() -> None:
    """It may arrive below the next moment: so all is counted from the last one without such a step."""
    balance = decided(StreamBalance(STREAM), said(10), Counted(10, 10, 0))
    decided(balance, said(20, delivered=15), Counted(5, 5, 0))
    assert (state(balance), balance.first) == ("true", 10)
    decided(balance, said(30), Counted(20, 20, 0))
    assert (state(balance), balance.first) == ("true", 30)


def beat(detail: str) -> Heartbeat:
    """Return a heartbeat of a recorder."""
    return Heartbeat(component_id="recorder-a-1", kind="recorder", sent_at=S, started_at=0, version="1", detail=detail)


def test_a_recorder_names_its_streams_in_its_heartbeat() -> None:
    """And says how many it does not name."""
    text = '{"streams": {"run/agent/7": {"produced": 5, "delivered": 3, "dropped": 1}}, "more_streams": 2}'
    assert recorder_streams(beat(text)) == ({STREAM: Said(S, 5, 3, 1)}, 2)


@pytest.mark.parametrize(
    "detail",
    [
        "",
        "[]",
        "{}",
        '{"streams": 3, "more_streams": 0}',
        '{"streams": {"x": {}}, "more_streams": 0}',
        '{"streams": {"r/a/b": {"produced": 1, "delivered": 1, "dropped": 0}}, "more_streams": 0}',
    ],
)
def test_a_heartbeat_that_says_something_else_says_nothing(detail: str) -> None:
    """It comes from the log, and anybody may write there what he likes."""
    assert recorder_streams(beat(detail)) == ({}, 0)


def test_the_question_names_each_stream_with_its_range() -> None:
    """Values are bound, never text of the statement."""
    first = StreamBalance(StreamId("it's", "a", 1))
    first.begin(said(5), FENCE)
    second = decided(StreamBalance(STREAM), said(10), Counted(10, 10, 0))
    second.begin(said(12), FENCE)
    asked = question([first, second])
    assert asked.parameters == {
        "runs": ["it's", "run"],
        "agents": ["a", "agent"],
        "attempts": [1, 7],
        "firsts": [0, 10],
        "produced": [5, 12],
    }
    assert "it's" not in asked.sql


def test_a_record_that_could_not_be_stored_still_says_which_steps_it_has() -> None:
    """Each once, however many letters say it; one that says nothing counts none, and is not read again."""
    letters = Letters(Codec())
    letters.add({"a": letter(10, 5), "b": letter(13, 7), "c": b"\0\0\0\0\1nonsense", "d": b""})
    assert letters.known == {"a", "b", "c", "d"}
    assert letters.count(STREAM, 0, 100) == 10
    assert letters.count(STREAM, 12, 15) == 3
    assert letters.count(STREAM, 20, 20) == 0
    assert letters.count(StreamId("run", "agent", 8), 0, 100) == 0


def letter(first: int, count: int) -> bytes:
    """Return the beginning of a record of the stream: its columns are cut off."""
    body = make_body({"attempt": 7, "first_seq": first, "count": count})
    return Codec().frame("steps", schema("StepBatch"), body)[:200]
