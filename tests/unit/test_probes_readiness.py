"""The rule of /ready and /live, and the addresses they are asked at."""

import pytest

from runbus.config.errors import ConfigError
from runbus.probes import Address, Health, Limits, probes_address, reasons, stuck

LIMITS = Limits(lag_seconds=30.0, silent_seconds=120.0)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health(joined=True), []),
        (Health(joined=True, lag_ms=30_000, lag_events=5, silent_seconds=120.0), []),
        (Health(), ["the group has given it no partitions yet"]),
        (Health(joined=True, waits_for="ClickHouse"), ["waits for ClickHouse"]),
        (Health(joined=True, recovering=("steps:2", "steps:1")), ["recovers steps:1, steps:2"]),
        (Health(joined=True, paused={"steps:0": "no table"}), ["steps:0 is paused: no table"]),
        (Health(joined=True, lag_ms=30_100, lag_events=7), ["30.1 s behind (7 events), more than 30 s"]),
        (Health(joined=True, silent_seconds=121.0), ["its loop has not turned for 121 s"]),
    ],
    ids=["ready", "at its limits", "not joined", "waits", "recovers", "paused", "behind", "stuck"],
)
def test_each_reason_by_itself(health: Health, expected: list[str]) -> None:
    """Every state has the sentence that belongs to it, and no other."""
    assert reasons(health, LIMITS) == expected


def test_all_reasons_are_said_at_once() -> None:
    """Whoever reads the answer need not ask again after mending the first thing."""
    bad = Health(waits_for="Kafka", recovering=("a",), paused={"b": "c"}, lag_ms=31_000, silent_seconds=999)
    assert len(reasons(bad, LIMITS)) == 6


def test_only_its_own_loop_decides_whether_it_lives() -> None:
    """Lag, pauses and missing engines never make a process look dead."""
    assert stuck(Health(waits_for="Kafka", paused={"b": "c"}, lag_ms=10**9), LIMITS) == ""
    assert stuck(Health(joined=True, silent_seconds=120.5), LIMITS) != ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("0.0.0.0:9464", Address("0.0.0.0", 9464)),
        ("localhost:0", Address("localhost", 0)),
        (":9464", Address("127.0.0.1", 9464)),
        ("9464", Address("127.0.0.1", 9464)),
        ("[::1]:9464", Address("::1", 9464)),
    ],
)
def test_addresses(text: str, expected: Address | None) -> None:
    """A host and a port, a port alone, or nothing."""
    assert probes_address(text) == expected
    if expected is not None:
        assert probes_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["here", "127.0.0.1:", "127.0.0.1:70000", "http://127.0.0.1:9464", "a b:1", "::1:9464"]
)
def test_what_is_no_address_is_named(text: str) -> None:
    """The error names the variable and the bad value."""
    with pytest.raises(ConfigError, match="RUNBUS_PROBES_ADDRESS="):
        probes_address(text)
