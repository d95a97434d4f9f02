"""Sinks, ClickHouse and the broker are killed while steps flow: the short form of tests/faults/sink."""

from pathlib import Path

import pytest

from tests.faults.sink.mortal import pair
from tests.faults.sink.soak import Group, Size, Soak, SoakRun
from tests.faults.sink.traffic import Rate

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(240)]


def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """Ten SIGKILLs and more over two sinks, the engine and the broker: everything is stored once."""
    size = Size(kills=10, steps=100_000, sinks=2)
    with pair(tmp_path) as place, SoakRun(place, tmp_path, Group("consumer"), Rate(size.rate), 1) as stage:
        soak = Soak(stage, size, 1, print)
        soak.run()
        print(soak.report())
        assert soak.kills["broker"] >= 1
        assert soak.kills["engine"] >= 1
        assert soak.kills["sink"] >= 1
