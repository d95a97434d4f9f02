"""The sink under hundreds of SIGKILLs of sinks, ClickHouse and the broker: every step is stored once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.sink.mortal import pair
from tests.faults.sink.soak import Group, Size, Soak, SoakRun
from tests.faults.sink.traffic import Rate

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(1500)]

GROUPS = (Group("consumer"), Group("classic"), Group("classic", static=True), Group("consumer", static=True))
EACH = Size(kills=80, steps=800_000)  # 320 kills and 3.2 million steps in all


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_kills_at_random_moments_change_nothing(group: Group, tmp_path: Path, say: Callable[[str], None]) -> None:
    """80 SIGKILLs over three sinks, the engine and the broker: each step, run event and episode is stored once."""
    seed = 1 + GROUPS.index(group)
    with pair(tmp_path) as place, SoakRun(place, tmp_path, group, Rate(EACH.rate), seed) as stage:
        soak = Soak(stage, EACH, seed, say)
        soak.run()
        say(f"\n{soak.report()}")
        assert soak.kills.total() >= EACH.kills
