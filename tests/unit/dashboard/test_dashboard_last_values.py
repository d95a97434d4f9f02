"""The last values of metrics: of each name what came last, of a bounded number of names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.live.last_values import MOST_NAMES, LastValues
from runbus.kafka.model import StreamId
from runbus.schemas.metric_batch import MetricBatch, MetricColumns, MetricHeader
from tests.unit.batches import quick
from tests.unit.test_schemas_metric_batch import make_batch

STREAM = StreamId("run", "learner-0", 7)


def batch_of(values: list[tuple[int, float]]) -> MetricBatch:
    """Return a batch of (number of a name, value), each at its own seq."""
    count, names = len(values), sorted({name for name, _ in values})
    columns = MetricColumns(
        name=np.array([names.index(name) for name, _ in values], "<u2"),
        ts=np.arange(count),
        value=np.array([value for _, value in values]),
        at=np.arange(count),
    )
    return MetricBatch(
        MetricHeader(*STREAM, 0, count, 0, 1),
        columns,
        tuple(f"name-{name}" for name in names),
        ("global_step",) * len(names),
    )


VALUES = st.tuples(st.integers(0, 5), st.integers(-9, 9).map(float))


@given(st.lists(st.lists(VALUES, min_size=1, max_size=9), max_size=5))
@quick
def test_of_each_name_the_last_that_came(batches: list[list[tuple[int, float]]]) -> None:
    """Whatever records they are in."""
    last = LastValues()
    for values in batches:
        assert last.take(batch_of(values)) == STREAM
    wanted = {f"name-{name}": value for values in batches for name, value in values}
    assert {row["name"]: row["value"] for row in last.of(STREAM)} == wanted


def test_the_first_names_stay_and_further_ones_are_not_shown() -> None:
    """A source with many names has as many rows as a page has room for, always the same ones."""
    last = LastValues()
    last.take(batch_of([(n, float(n)) for n in range(MOST_NAMES)]))
    last.take(batch_of([(n, -1.0) for n in range(5, 500)]))
    found = {row["name"]: row["value"] for row in last.of(STREAM)}
    assert found == {f"name-{n}": float(n) if n < 5 else -1.0 for n in range(MOST_NAMES)}


def test_what_json_cannot_say_is_text_and_a_score_is_no_metric() -> None:
    """NaN is shown; a value without a position says so; a source that nobody knows has none."""
    last, batch = LastValues(), make_batch(3)
    stream = last.take(batch)
    assert last.of(stream) == [
        {"name": "loss", "axis": "global_step", "at": None, "value": "nan", "ts": int(batch.columns.ts[0])},
        {"name": "reward", "axis": "", "at": None, "value": 0.0, "ts": int(batch.columns.ts[1])},
    ]
    assert last.of(STREAM) == []
