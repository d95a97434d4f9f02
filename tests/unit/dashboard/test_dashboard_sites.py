"""Who asks: the page itself, a link to it, or somebody else's page in the same browser."""

from __future__ import annotations

import pytest

from runbus.dashboard.security.sites import is_own

LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_a_page_and_nothing_else(site: str) -> None:
    """Another port of this machine is the same site, and not the same page."""
    asked = {"sec-fetch-site": site}
    assert is_own("GET", asked | LINK, is_page=True)
    assert not is_own("GET", asked | LINK, is_page=False)
    assert not is_own("GET", asked | {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, is_page=False)
    assert not is_own("GET", asked | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, is_page=True)
    assert not is_own("POST", asked | LINK, is_page=True)


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
def test_the_page_itself_an_address_bar_and_curl_may_ask(headers: dict[str, str]) -> None:
    """A client that is no browser sends nothing of the kind."""
    assert is_own("GET", headers, is_page=False)
    assert is_own("POST", headers, is_page=False)


def test_without_that_header_the_origin_decides() -> None:
    """Browsers leave it out on plain http to another machine."""
    assert is_own("POST", {"origin": "http://10.0.0.1:8600", "host": "10.0.0.1:8600"}, is_page=False)
    assert not is_own("POST", {"origin": "http://10.0.0.2:8600", "host": "10.0.0.1:8600"}, is_page=False)
    assert not is_own("POST", {"origin": "null", "host": "10.0.0.1:8600"}, is_page=False)


def test_a_proxy_may_change_the_name_behind_it() -> None:
    """What the browser says of itself is enough."""
    assert is_own("POST", {"sec-fetch-site": "same-origin", "origin": "https://runs", "host": "pod"}, is_page=False)
