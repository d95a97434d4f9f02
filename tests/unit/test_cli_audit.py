"""What `runbus audit` refuses before it asks anybody."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from runbus.audit.reconciliation import Audit, StreamSums
from runbus.cli.audit import print_audit
from runbus.cli.main import app
from runbus.kafka.model import StreamId


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


def test_hostile_ids_are_text_and_counts_are_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    """An agent chooses its ids; the attempt can be pasted, the counts are for the eye."""
    print_audit(
        Audit({StreamId("r\x1b[31m", "a\n\u202e", 1_790_000_000_000_000): StreamSums(produced=477_604, stored=477_604)})
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["r\\x1b[31m/a\\n\\u202e/1790000000000000", "477,604", "477,604", *"000000"]
    assert lines[2].split()[:2] == ["total", "477,604"]
