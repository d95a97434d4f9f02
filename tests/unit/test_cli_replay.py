"""What the options of `runbus replay` mean, and which of them mean nothing together."""

from __future__ import annotations

import pytest

from runbus.cli.replay import _check, _span
from runbus.cli.tail import at_time
from runbus.config.errors import ConfigError
from runbus.config.options import REPLAY_SPEED
from runbus.replay.timeline import Span


def test_times_are_utc_unless_they_say_otherwise() -> None:
    """In microseconds, both ends or one of them."""
    assert _span("", "") == Span()
    assert _span("1970-01-01T00:00:01.000002", "") == Span(1_000_002)
    assert _span("", "1970-01-01T01:00:00+01:00") == Span(None, 0)
    with pytest.raises(ConfigError, match="is not before --until"):
        _span("2026-01-02", "2026-01-01")
    with pytest.raises(ConfigError, match="'noon' is no time: write it as"):
        at_time("noon")


@pytest.mark.parametrize(
    ("to", "new_run", "topic", "said"),
    [
        ("topic", "", "", "--to topic: name it with --topic"),
        ("bus", "", "t", "--topic is for --to topic, and this is --to bus"),
        ("stdout", "r", "", "--as is for --to bus, and this is --to stdout"),
    ],
)
def test_an_option_without_a_meaning_is_said(to: str, new_run: str, topic: str, said: str) -> None:
    """One sentence."""
    with pytest.raises(ConfigError, match=said):
        _check(to, new_run, topic)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), ("0.5", 0.5), ("max", float("inf")), ("MAX", float("inf"))])
def test_a_speed_is_a_number_or_max(text: str, speed: float) -> None:
    """Infinite is as fast as it goes."""
    assert REPLAY_SPEED.parse(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "fast", ""])
def test_what_is_no_speed_is_said(text: str) -> None:
    """With what is."""
    with pytest.raises(ConfigError, match=r"is not a speed: give a number from 0\.001 on, or max"):
        REPLAY_SPEED.parse(text)
