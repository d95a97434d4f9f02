"""Decides whether the page itself asks, or somebody else's page in the same browser; pure.

A browser says where a request comes from: `Sec-Fetch-Site`, on https and on this machine. On plain http to another
machine it does not, and then `Origin` stands in every request that could change something. A client that is no browser
sends neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_OWN = ("same-origin", "none")


def is_own(method: str, headers: Mapping[str, str], *, is_page: bool) -> bool:
    """Return whether a request may pass.

    Args:
        method: of HTTP.
        headers: by their names in lower case.
        is_page: the path is one that people open: a link to it may stand anywhere.
    """
    site = headers.get("sec-fetch-site", "")
    if site:
        return site in _OWN or (is_page and _is_link(method, headers))
    origin = headers.get("origin", "")
    return not origin or urlsplit(origin).netloc.lower() == headers.get("host", "").strip().lower()


def _is_link(method: str, headers: Mapping[str, str]) -> bool:
    if method not in ("GET", "HEAD"):
        return False
    return headers.get("sec-fetch-mode", "") == "navigate" and headers.get("sec-fetch-dest", "") == "document"
