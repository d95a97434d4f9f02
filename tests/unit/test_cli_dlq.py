"""What became of dead letters is printed as text, whatever their keys and reasons hold."""

from __future__ import annotations

import json

import pytest

from runbus.cli.dlq import _print_outcomes
from runbus.sink.dead_letters.commands import RetryOutcome
from runbus.sink.dead_letters.eligibility import LetterOrigin

HOSTILE = "k\x1b]0;t\x07\n\u202e"


def test_outcomes_are_escaped_and_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """One line an outcome, and the same text for programs."""
    outcome = RetryOutcome(HOSTILE, LetterOrigin("t", "id", 0, 7), "refused", HOSTILE)
    _print_outcomes([outcome], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["k\\x1b]0;t\\x07\\n\\u202e", "refused", "k\\x1b]0;t\\x07\\n\\u202e"]
    assert lines[2] == "0 stored, 0 already, 0 dead, 1 refused"
    _print_outcomes([outcome], as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["key"] == HOSTILE
