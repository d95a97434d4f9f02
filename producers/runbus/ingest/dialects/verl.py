"""Reads verl's rollout files, `trainer.rollout_data_dir/{global_step}.jsonl`: a line is a prompt, an answer, a score.

The texts are those that verl wrote, without special tokens. Which policy answered is the label `policy_version`: the
number that verl calls `step`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from runbus.ingest.acts import Act, Begin, Defaults, Place, Step, Who
from runbus.ingest.documents import Malformed
from runbus.ingest.values import apart, whole, without
from runbus.recorder.absent import ABSENT
from runbus.schemas.events import Outcome


class Verl:
    """The dialect `verl`; see acts.Dialect."""

    unended: Outcome = "completed"

    def __init__(self, defaults: Defaults) -> None:
        self._who = Who(defaults.run, defaults.agent)

    def take(self, document: Mapping[str, Any], place: Place, /) -> Iterator[Act]:
        """Return the episode of a line: its reset is the prompt, its only step the answer."""
        if "input" not in document or "output" not in document:
            raise Malformed("it has no input or no output: lines of verl's rollout_data_dir have both")
        version = whole(document.get("step", PurePath(place.source).stem))
        labels = {"policy_version": version, "group": document.get("uid")}
        labels = {name: label for name, label in labels.items() if label is not None}
        yield Begin(who=self._who, observation=document["input"], labels=labels)
        score = document.get("score")
        logged, others = apart(without(document, "input", "output", "score", "step", "uid").items())
        if score is None:
            logged.append(("not_scored", 1.0))
        yield Step(
            who=self._who,
            action=document["output"],
            reward=0.0 if score is None else score,
            terminated=True,
            observation=ABSENT,
            info=others or None,
            words={"kind": "model"},
            logged=logged,
        )

    def end(self) -> Iterator[Act]:
        """Nothing is held."""
        yield from ()
