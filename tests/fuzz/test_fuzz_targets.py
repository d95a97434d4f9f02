"""The targets of the fuzzer hold for its seeds and for seeded damage; the fuzzer itself is `make fuzz`."""

from pathlib import Path

import pytest

from tests.fuzz.batches import Batches
from tests.fuzz.run import SEEDS
from tests.fuzz.targets import TARGETS

FILES = sorted(path for path in SEEDS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_seed_holds(path: Path) -> None:
    """Each committed seed is small, and its own target takes it."""
    assert path.stat().st_size < 1024
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_seeds_and_holds_for_damage(name: str) -> None:
    """Two hundred damaged batches: every target says nothing."""
    assert any(path.parent.name == name for path in FILES)
    source = Batches(7)
    for _ in range(200):
        TARGETS[name](source.mutated())
