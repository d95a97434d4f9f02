"""The example of docs/cursors.md, run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from runbus.kafka.clients import admin_client
from runbus.kafka.lone_commit import Commit, commit_alone
from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_ids import topic_ids
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.cursors.user_groups import send

pytestmark = [pytest.mark.integration]

PAGE = (Path(__file__).parents[3] / "docs" / "cursors.md").read_text(encoding="utf-8")


def test_the_example_runs(settings: KafkaSettings, command: CursorsCommand) -> None:
    """Each line ends with 0, and the group is where the last one says, with what the sink needs beside it."""
    (example,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    prefix = settings.topic_prefix
    send(settings, {0: 4, 1: 2})
    commit_alone(settings, f"{prefix}sink", {TopicPartition(f"{prefix}steps", 0): Commit(3)})
    for line in example.replace("runbus.sink", f"{prefix}sink").splitlines():
        words = shlex.split(line)
        assert words[:2] == ["runbus", "cursors"]
        command.run(*words[2:])
    positions = command.positions(f"{prefix}sink")
    assert {position["committed"] for position in positions.values()} == {0}
    ids = topic_ids(admin_client(settings), [f"{prefix}steps"])
    assert positions[f"{prefix}steps", 0]["topic_id"] == ids[f"{prefix}steps"]
