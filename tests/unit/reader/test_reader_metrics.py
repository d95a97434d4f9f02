"""The event of metrics: arrays as they came, gaps as those of steps."""

from dataclasses import replace

import numpy as np

from runbus.kafka.model import StreamId
from runbus.reader import MetricValues
from runbus.reader.events import KINDS, At
from runbus.schemas.avsc import schema
from runbus.schemas.metric_batch import MetricHeader, artifact_text, decode, encode
from tests.support.batches import make_metrics
from tests.unit.test_schemas_metric_batch import make_batch

AT = At("runbus.metrics", 0, 0, 1, b"run/learner-0")


def event_of(first: int, count: int) -> MetricValues:
    """Return the event of a record, as a reader makes it."""
    body = encode(make_metrics(MetricHeader("run", "learner-0", 7, first, count, 1, 1)))
    event = KINDS["metrics"].make(AT, body, schema("MetricBatch"))
    assert isinstance(event, MetricValues)
    return event


def test_it_says_whose_values_and_which() -> None:
    """As Steps does; the source is the agent of the stream."""
    event = event_of(10, 5)
    assert (event.run_id, event.source, event.attempt, event.dropped) == ("run", "learner-0", 7, 1)
    assert event.stream == StreamId("run", "learner-0", 7)
    assert (event.first_seq, event.last_seq, len(event), event.seq.tolist()) == (10, 14, 5, [10, 11, 12, 13, 14])


def test_curves_are_the_metrics_by_name_and_axis() -> None:
    """Each has its own positions and numbers, in order; scores and texts are no points."""
    curves = event_of(0, 5).curves
    assert {named: (at.tolist(), value.tolist()) for named, (at, value) in curves.items()} == {
        ("loss", "global_step"): ([0, 2, 4], [0.0, 2.0, 4.0]),
        ("return", "env_steps"): ([1, 3], [1.0, 3.0]),
    }
    scored = MetricValues(AT, decode(encode(make_batch(3))))
    assert scored.is_score.tolist() == [False, False, True]
    assert scored.label == ("", "", "good")
    assert ("reward", "") in scored.names
    assert sum(len(values) for _, values in scored.curves.values()) == 2


def test_artifacts_are_told_from_numbers() -> None:
    """By row, as they were recorded; neither they nor what a later version knows are points of a curve."""
    batch = make_batch(4)
    words = artifact_text("a.pt", "s3://a.pt", 1, "5f")
    columns = replace(batch.columns, kind=np.array([0, 2, 2, 9], "u1"))
    event = MetricValues(AT, decode(encode(replace(batch, columns=columns, text=("", words, "no JSON", "")))))
    said = {"type": "reward", "name": "a.pt", "uri": "s3://a.pt", "bytes": 1, "sha256": "5f"}
    assert event.artifacts == {1: said, 2: {"type": "loss"}}
    assert [len(values) for _, values in event.curves.values()] == [1]


def test_nothing_is_copied() -> None:
    """Arrays are read-only views of the decoded record."""
    event = event_of(0, 3)
    for column in (event.value, event.ts, event.position):
        assert not column.flags.writeable
    assert np.shares_memory(event.value, event.columns.value)
