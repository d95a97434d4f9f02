"""The sink's settings and its waits."""

import random

import pytest

from runbus.config.errors import ConfigError
from runbus.config.sources import Sources
from runbus.sink.backoff import AMBIGUOUS, CAPACITY, STUCK, Backoff
from runbus.sink.settings import SinkSettings


def test_defaults() -> None:
    """Without settings: the documented ranges, and a group named after the topics."""
    settings = SinkSettings.load(Sources())
    assert (settings.limits.steps, settings.limits.bytes, settings.limits.seconds) == (250_000, 16 * 2**20, 1.0)
    assert (settings.group, settings.group_protocol, settings.skip_lost) == ("runbus.sink", "auto", False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RUNBUS_SINK_RANGE_STEPS", "0"),
        ("RUNBUS_SINK_RANGE_MB", "x"),
        ("RUNBUS_SINK_RANGE_SECONDS", "nan"),
        ("RUNBUS_SINK_GROUP_PROTOCOL", "new"),
        ("RUNBUS_SINK_LOST_RANGE", "skip"),
        ("RUNBUS_SINK_GRACE_SECONDS", "-1"),
        ("RUNBUS_PROBES_ADDRESS", "nowhere"),
        ("RUNBUS_READY_LAG_SECONDS", "0"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str) -> None:
    """The error names the variable and the value."""
    with pytest.raises(ConfigError, match=f"{variable}='{value}'"):
        SinkSettings.load(Sources(environ={variable: value}))


@pytest.mark.parametrize("policy", [AMBIGUOUS, CAPACITY, STUCK])
def test_waits_grow_and_stay_within_their_bounds(policy: Backoff) -> None:
    """Never a tight loop, never longer than the bound, however many attempts."""
    rng = random.Random(3)
    for attempt in (1, 2, 5, 10, 1000):
        waits = [policy.wait(attempt, rng) for _ in range(200)]
        assert policy.first <= min(waits) <= max(waits) <= policy.most
    assert max(policy.wait(1, rng) for _ in range(200)) < max(policy.wait(20, rng) for _ in range(200))
