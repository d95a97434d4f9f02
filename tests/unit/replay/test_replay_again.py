"""What is changed of a run that is recorded again: its name, and that it says where it comes from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runbus.replay.again import linked
from runbus.replay.timeline import Span
from runbus.schemas.batch import BatchHeader, StepBatch
from tests.support.batches import step_columns


@pytest.mark.parametrize(
    ("config", "known"),
    [('{"lr": 0.1}', {"lr": 0.1}), ("{}", {}), ("no JSON", {}), ("[1]", {"config": [1]})],
)
def test_the_config_names_the_original(config: str, known: dict[str, object]) -> None:
    """Beside what it said."""
    assert json.loads(linked(config, "run-1")) == {**known, "replay_of": "run-1"}


@pytest.mark.parametrize(
    ("span", "seqs"),
    [
        (Span(), range(10)),
        (Span(103), range(3, 10)),
        (Span(None, 103), range(3)),
        (Span(103, 104), range(3, 4)),
        (Span(200), range(0)),
        (Span(None, 100), range(0)),
    ],
)
def test_a_span_is_of_wall_times(span: Span, seqs: range) -> None:
    """Its begin is in it, its end is not."""
    seq = np.arange(10)
    batch = StepBatch(BatchHeader("r", "a", 1, 0, 10, 0, 1), step_columns(seq, 100 + seq))
    found = span.of(batch)
    assert list(seqs) == [] if found is None else range(found.header.first_seq, found.header.next_seq) == seqs
