"""`runbus cursors` works with the documented rights, and names the one that a user lacks."""

from pathlib import Path

import pytest

from runbus.kafka.principals import Role
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.security.conftest import PARTITIONS, Installation
from tests.integration.security.secured_processes import environment

pytestmark = pytest.mark.integration


def _as(installation: Installation, role: Role, folder: Path) -> CursorsCommand:
    return CursorsCommand(environment(installation.settings(role), folder, role), folder)


def test_a_reader_sees_the_groups_and_moves_none(installation: Installation, tmp_path: Path) -> None:
    """Describe is enough to look; Read on the group is what it takes to commit, and is named."""
    reader = _as(installation, "reader", tmp_path)
    assert set(reader.groups()) == {installation.prefix + own for own in ("sink", "episodes", "live-metrics")}
    group = f"{installation.prefix}sink"
    assert len(reader.positions(group)) == 4 * PARTITIONS + 3
    assert f"it lacks Read on Group {group}" in reader.refused("reset", group, "--to", "end", "--yes")


@pytest.mark.parametrize("role", ["sink", "episodes", "live-metrics"])
def test_each_user_moves_its_own_group(role: Role, installation: Installation, tmp_path: Path) -> None:
    """The rights that a component has to work are those that a reset takes, its state and transactions included."""
    command, group = _as(installation, role, tmp_path), installation.prefix + role
    command.run("reset", group, "--to", "beginning", "--yes")
    steps = [p for (topic, _), p in command.positions(group).items() if topic == f"{installation.prefix}steps"]
    assert [position["committed"] for position in steps] == [0] * PARTITIONS


def test_a_recorder_sees_nothing(installation: Installation, tmp_path: Path) -> None:
    """It is told what it lacks, in one sentence."""
    said = _as(installation, "recorder", tmp_path).refused("show", f"{installation.prefix}sink")
    assert f"it lacks Describe on Group {installation.prefix}sink" in said
