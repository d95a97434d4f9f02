"""Tags and pins of whole runs, as they come and go."""

from __future__ import annotations

from typing import Any

import pytest

from runbus.dashboard.live.run_marks import RunMarks
from runbus.schemas.events import Annotation


def said(kind: str, name: str = "", **more: Any) -> Annotation:
    """Return an annotation of run r."""
    return Annotation(**{"run_id": "r", "kind": kind, "name": name, "sent_at": 1, **more})


def test_tags_and_pins_hold_until_they_are_removed() -> None:
    """The one that was put there first stands first; the same again changes nothing."""
    marks = RunMarks()
    assert [marks.take(said("tag", "b")), marks.take(said("tag", "a")), marks.take(said("pin"))] == ["r", "r", "r"]
    assert marks.take(said("tag", "a")) is None
    assert marks.of("r") == (("b", "a"), True)
    assert marks.take(said("tag", "b", removed=True)) == "r"
    assert marks.take(said("pin", removed=True)) == "r"
    assert marks.take(said("pin", removed=True)) is None
    assert marks.of("r") == (("a",), False)
    assert marks.of("another") == ((), False)


@pytest.mark.parametrize(
    "annotation",
    [said("note", "n", text="x"), said("tag", "t", agent_id="w"), said("pin", episode=3, env=0), said("baseline", "b")],
)
def test_what_is_no_mark_of_a_run(annotation: Annotation) -> None:
    """Notes, what is on an agent or an episode, and kinds of later."""
    marks = RunMarks()
    assert marks.take(annotation) is None
    assert marks.of("r") == ((), False)
