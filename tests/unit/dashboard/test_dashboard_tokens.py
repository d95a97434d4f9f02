"""The token and the cookie that is worth as much for a week."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.security.tokens import LOGIN_S, is_cookie, is_token, new_cookie

TOKEN = "correct horse battery staple"


@given(st.text(), st.text())
def test_only_the_same_text_is_the_token(given_: str, token: str) -> None:
    """Whatever bytes somebody sends, halves of surrogate pairs too."""
    assert is_token(given_, token) is (given_ == token)


@given(st.integers(0, 10**10), st.integers(-10, LOGIN_S))
def test_a_cookie_is_good_for_its_week(at: int, later: int) -> None:
    """And for a clock that goes a little wrong."""
    assert is_cookie(new_cookie(TOKEN, at), TOKEN, at + later)


@pytest.mark.parametrize("later", [LOGIN_S + 1, -61])
def test_a_cookie_ends(later: int) -> None:
    """One from the future is none either."""
    assert not is_cookie(new_cookie(TOKEN, 10**9), TOKEN, 10**9 + later)


def test_another_token_is_another_cookie() -> None:
    """So a new token in the file ends every login."""
    assert not is_cookie(new_cookie(TOKEN, 1), TOKEN + ".", 1)


@given(st.text())
def test_what_was_not_signed_is_no_cookie(value: str) -> None:
    """No text breaks the check."""
    assert not is_cookie(value, TOKEN, 5)


@pytest.mark.parametrize("change", ["1", "\u0661", "+", "9" * 30])
def test_the_moment_of_a_login_cannot_be_moved(change: str) -> None:
    """It is what was signed."""
    assert not is_cookie(change + new_cookie(TOKEN, 10**9), TOKEN, 10**9)
