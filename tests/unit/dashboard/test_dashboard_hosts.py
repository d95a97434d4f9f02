"""The names under which the page may be reached: a name that resolves to this machine is not enough."""

from __future__ import annotations

import pytest

from runbus.dashboard.security.hosts import is_known, is_loopback


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("127.0.0.1:8600", True),
        ("127.0.0.1", True),
        ("localhost:1", True),
        ("LocalHost", True),
        ("localhost.", True),
        ("[::1]:8600", True),
        ("10.1.2.3:8600", True),
        ("[fe80::1]", True),
        ("runs.example.org", True),
        ("RUNS.example.org:443", True),
        ("", False),
        ("evil.example", False),
        ("evil.example:8600", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("sub.runs.example.org", False),
        ("[::1", True),
        ("[evil.example]:80", False),
    ],
)
def test_only_known_names_and_addresses_in_numbers_are_answered(header: str, known: bool) -> None:
    """A stranger's page can let its own name resolve to this machine, but never an address in numbers."""
    assert is_known(header, frozenset({"runs.example.org"})) is known


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("some.host", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, local: bool) -> None:
    """A name could be any address, so only `localhost` counts."""
    assert is_loopback(host) is local
