"""What the audit knows of a commit: in which topic its offset counts."""

from __future__ import annotations

import pytest

from runbus.kafka.commit_metadata import Intent, counted_in


def test_the_sink_names_the_topic_of_each_commit() -> None:
    """The audit reads what the sink writes; neither imports the other."""
    assert counted_in(Intent("topic-id").encode()) == "topic-id"
    assert counted_in(Intent("topic-id", hi=7, salt="s", overlaps=True).encode()) == "topic-id"


@pytest.mark.parametrize("metadata", [None, "", "{", "[]", "7", '{"hi": 3}', "by hand"])
def test_other_commits_name_none(metadata: str | None) -> None:
    """A tool that resets offsets writes what it likes."""
    assert counted_in(metadata) is None
