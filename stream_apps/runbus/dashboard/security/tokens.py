"""Knows who knows the token: what a client sends, and the cookie that a browser has after its login; pure.

The cookie is no token: it says when the login was, signed with the token. So nothing has to be remembered, a server
that starts again knows its browsers, and with another token no old cookie is worth anything.
"""

from __future__ import annotations

import hashlib
import hmac

#: How long a login holds, seconds.
LOGIN_S = 7 * 86_400
# A clock that was set back, or another server behind the same name.
_AHEAD_S = 60


def is_token(given: str, token: str) -> bool:
    """Return whether somebody gave the token; how long that takes tells nothing about it, nor about its length."""
    return hmac.compare_digest(_digest(given), _digest(token))


def new_cookie(token: str, now_s: int) -> str:
    """Return the cookie of a login.

    Args:
        token: of the settings.
        now_s: seconds since the epoch.
    """
    return f"{now_s}.{_signature(token, now_s)}"


def is_cookie(value: str, token: str, now_s: int) -> bool:
    """Return whether a cookie is one of a login that still holds."""
    text, _, signature = value.partition(".")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        return False
    at_s = int(text)
    good = hmac.compare_digest(signature.encode(), _signature(token, at_s).encode())
    return good and -_AHEAD_S <= now_s - at_s <= LOGIN_S


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _signature(token: str, at_s: int) -> str:
    return hmac.new(token.encode(), b"runbus dashboard login %d" % at_s, hashlib.sha256).hexdigest()
