"""Guessing the token: ten times a minute and address."""

from __future__ import annotations

from runbus.dashboard.security.attempts import MOST, Attempts


def wrong(attempts: Attempts, address: str, times: int, now: float = 0.0) -> None:
    """Note some wrong tokens."""
    for _ in range(times):
        attempts.wrong(address, now)


def test_after_ten_wrong_ones_an_address_waits_for_the_rest_of_its_minute() -> None:
    """The others do not."""
    attempts = Attempts()
    wrong(attempts, "10.0.0.1", MOST - 1)
    assert attempts.wait_s("10.0.0.1", 5.0) == 0
    wrong(attempts, "10.0.0.1", 1, 20.0)
    assert attempts.wait_s("10.0.0.1", 20.0) == 40
    assert attempts.wait_s("10.0.0.2", 20.0) == 0
    assert attempts.wait_s("10.0.0.1", 60.0) == 0
    wrong(attempts, "10.0.0.1", 1, 61.0)
    assert attempts.wait_s("10.0.0.1", 61.0) == 0


def test_one_client_has_a_whole_network_of_ipv6() -> None:
    """Another address of it is the same client."""
    attempts = Attempts()
    for host in range(MOST):
        attempts.wrong(f"2001:db8:1:2::{host:x}", 0.0)
    assert attempts.wait_s("2001:db8:1:2:ffff::1", 1.0) > 0
    assert attempts.wait_s("2001:db8:1:3::1", 1.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    """The address that was silent longest is forgotten."""
    attempts = Attempts()
    wrong(attempts, "first", MOST)
    for number in range(10_000):
        attempts.wrong(f"a{number}", 0.0)
    assert attempts.wait_s("first", 1.0) == 0
