"""Text is all that reaches a terminal, of any origin."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.config.terminal import printable

#: What terminals act on, character by character: escapes, the bell, moves, C1, bidi, zero width, tags, line ends.
ACTED_ON = "\x00\x07\x08\t\n\x0b\x0c\r\x0e\x1b\x7f\x84\x85\x90\x9b\x9c\x9d\xad\u061c\u200b\u200c\u200d\u200e\u200f"
ACTED_ON += "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\ufff9\U000e0041\u3164"


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from(ACTED_ON)))
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    """No control, format or separator character comes through, and what comes through can be encoded."""
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")]
    assert not [c for c in ACTED_ON if c in shown]
    shown.encode()
    assert len(shown.splitlines()) <= 1


@given(
    st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u115f\u1160\u3164\uffa0\u2800"))
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    """Letters of every script, numbers, punctuation, symbols and backslashes are not touched."""
    assert printable(text) == text


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from(ACTED_ON)))
def test_what_is_shown_can_be_shown_again(text: str) -> None:
    """An escape is plain text, so a text that went through twice is the same."""
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize("character", ACTED_ON)
def test_each_is_a_backslash_and_its_code(character: str) -> None:
    """The reader sees which character it is."""
    assert printable(f"a{character}b").startswith("a\\")
    assert printable(f"a{character}b").endswith("b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("one\r\ntwo\t3", "one\\r\\ntwo\\t3"),
        ("\u202eevil", "\\u202eevil"),
        ("\U000e0041", "\\U000e0041"),
        ("half \ud800", "half \\ud800"),
        ("warning \u26a0\ufe0f", "warning \u26a0\ufe0f"),
        ("a\ufe0f", "a\\ufe0f"),
        ("e\u0301", "e\u0301"),
        ("o" + "\u0301" * 6, "o" + "\u0301" * 4 + "\\u0301" * 2),
        ("C:\\new", "C:\\new"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    """The right values."""
    assert printable(text) == shown
