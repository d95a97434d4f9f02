"""Where a reset goes: what may be asked for, and which offsets are in the log."""

from __future__ import annotations

import pytest

from runbus.config.errors import ConfigError, RunBusError
from runbus.config.options import Word
from runbus.cursors.positions import Cursor
from runbus.cursors.targets import offset_in, target
from runbus.kafka.model import TopicPartition

AT = TopicPartition("runbus.steps", 3)


@pytest.mark.parametrize(
    ("word", "value", "expected"),
    [
        ("beginning", None, ""),
        ("end", "", ""),
        ("offset", "120", 120),
        ("time", "1970-01-01T00:00:01Z", 1000),
        ("time", "1970-01-01T01:00:01+01:00", 1000),
        ("time", "1970-01-01T00:00:01", 1000),  # without a zone: UTC, as everywhere
        ("time", "1970-01-02", 86_400_000),
        ("run", "a/b c", "a/b c"),
    ],
)
def test_each_word_has_its_value(word: Word, value: str | None, expected: int | str) -> None:
    """Numbers, times in any zone, and names as they are."""
    assert target(word, value, "steps", 3).value == expected


@pytest.mark.parametrize(
    ("word", "value"),
    [(None, None), ("end", "1"), ("run", None), ("offset", "-1"), ("offset", "\u0661"), ("time", "noon")],
)
def test_what_cannot_be_meant_is_wrong_usage(word: Word | None, value: str | None) -> None:
    """One sentence, and exit code 2."""
    with pytest.raises(ConfigError):
        target(word, value, "steps", 3)


def test_a_target_chooses_partitions() -> None:
    """All of them, those of a topic, or one."""
    assert target("end", None, "", None).chooses(AT)
    assert target("end", None, "runbus.steps", None).chooses(AT)
    assert target("end", None, "runbus.steps", 3).chooses(AT)
    assert not target("end", None, "runbus.steps", 2).chooses(AT)
    assert not target("end", None, "runbus.runs", None).chooses(AT)


def test_an_offset_is_in_the_log_or_is_refused() -> None:
    """The end is the next one to come, so it is allowed; what retention deleted is not."""
    cursor = Cursor(AT, 12, None, beginning=10, end=20)
    assert [offset_in(cursor, offset) for offset in (10, 20)] == [10, 20]
    for offset in (9, 21):
        with pytest.raises(RunBusError, match=f"runbus.steps:3 has offsets 10 to 20: {offset} is not one"):
            offset_in(cursor, offset)
