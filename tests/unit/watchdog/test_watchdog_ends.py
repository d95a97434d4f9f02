"""When records arrived, by the moves of the ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runbus.kafka.model import TopicPartition
from runbus.watchdog.ends import EndHistory

AT = TopicPartition("steps", 0)


def test_a_record_came_when_the_end_passed_it() -> None:
    """What was there at the first look, and what is not there yet, is not known."""
    history = EndHistory()
    for now_ms, end in ((100, 5), (200, 5), (300, 8), (400, 9)):
        history.add(AT, end, now_ms)
    assert [history.arrival_ms(AT, offset) for offset in (4, 5, 7, 8, 9)] == [None, 300, 300, 400, None]
    assert history.arrival_ms(TopicPartition("steps", 1), 0) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=900), st.integers(0, 2000))
def test_it_never_says_too_late_a_time(moves: list[int], offset: int) -> None:
    """The time is that of the first look after the record came, or it is not known any more."""
    history, end, came = EndHistory(), 0, None
    for now_ms, move in enumerate(moves):
        end += move
        history.add(AT, end, now_ms)
        if came is None and end > offset:
            came = now_ms
    found = history.arrival_ms(AT, offset)
    assert found is None or found == came
