"""What `runbus audit` refuses before it asks anybody."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from runbus.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--topic", "steps"], "needs --ranges"),
        (["--ranges", "--run", "r"], "leave one of them out"),
        (["--ranges", "--topic", "ticks"], "steps, runs, episodes, heartbeats"),
    ],
)
def test_options_that_contradict_each_other_are_bad_usage(arguments: list[str], text: str) -> None:
    """Exit code 2, and the text says what would be right."""
    done = CliRunner().invoke(app, ["audit", *arguments], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert text in done.output
