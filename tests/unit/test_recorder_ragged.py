"""Arrays whose number of items changes from step to step share a batch, and come back as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runbus.recorder import Recorder, RunBus
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.layout import NUMERIC_DTYPES, decode_value, unpack
from tests.fuzz.rows import step_rows
from tests.support.recorded_rows import batches_of

quick = settings(max_examples=60, deadline=None, derandomize=True)
FEWEST = 2  # the batch of the first length, and the one of all other lengths


def recorded(values: list[Any]) -> list[StepBatch]:
    """Return the batches of steps with these actions; nothing of them is left out."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    for value in values:
        recorder.step(value, 0.0, False, False, "text")
    recorder.close()
    assert recorder.stats()["complaints"] == {}
    return batches_of(subscription.get_many(10_000))


def actions(batches: list[StepBatch]) -> list[Any]:
    """Return the actions of the batches."""
    found = []
    for batch in batches:
        layout = batch.header.action
        found += [decode_value(layout, raw) for raw in unpack(layout, batch.action, batch.header.count)]
    return found


@given(st.data(), st.sampled_from(sorted(NUMERIC_DTYPES)), st.sampled_from([(), (2,), (3, 1)]))
@quick
def test_arrays_of_any_lengths_share_a_batch(data: st.DataObject, dtype: str, item: tuple[int, ...]) -> None:
    """Any dtype, any items, any lengths, empty ones too: at most two batches, the same bits, shapes and dtypes."""
    lengths = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=12))
    values = [data.draw(hnp.arrays(dtype, (length, *item))) for length in lengths]
    batches = recorded(values)
    assert len(batches) <= FEWEST
    for found, value in zip(actions(batches), values, strict=True):
        assert (found.dtype, found.shape, found.tobytes()) == (value.dtype, value.shape, value.tobytes())


@given(st.lists(st.lists(st.floats() | st.integers(-(2**53), 2**53), min_size=1, max_size=5), min_size=1, max_size=12))
@quick
def test_lists_of_any_lengths_are_the_same_numbers(values: list[list[float]]) -> None:
    """Lists of numbers too, also where an int comes among floats."""
    for found, value in zip(actions(recorded([[0.5], *values])), [[0.5], *values], strict=True):
        assert np.array_equal(found, np.array(value, np.float64), equal_nan=True)


def test_a_list_without_numbers_is_one_of_them() -> None:
    """An empty list behind lists of numbers is an array of no items."""
    batches = recorded([[1, 2], [], [3], []])
    assert [value.tolist() for value in actions(batches)] == [[1, 2], [], [3], []]
    assert len(batches) == FEWEST


def test_parts_of_a_dict_may_be_ragged() -> None:
    """What an LLM agent keeps of a turn: token ids, log-probabilities, a mask, and text."""
    turns = [
        {"ids": [7] * n, "logprobs": np.full(n, -0.5, np.float32), "mask": np.ones(n, bool), "said": "x" * n}
        for n in (3, 5, 0, 2, 2)
        if n
    ]
    batches = recorded(turns)
    assert len(batches) == FEWEST
    for found, turn in zip(actions(batches), turns, strict=True):
        assert {key: value if key == "said" else value.tolist() for key, value in found.items()} == {
            key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in turn.items()
        }


def test_in_a_table_a_ragged_value_is_an_array_like_any_other() -> None:
    """Its row has its own shape and the plain dtype, so SQL reads numbers."""
    rows = [row for batch in recorded([[1, 2], [3], []]) for row in step_rows(encode(batch))]
    assert [(row["action_dtype"], row["action_shape"]) for row in rows] == [("<i8", [2]), ("<i8", [1]), ("<i8", [0])]


@pytest.mark.parametrize(
    "values",
    [
        [np.zeros(2), np.zeros((2, 2))],
        [np.zeros(2, np.int32), np.zeros(3, np.float32) + 0.5],
        [np.zeros((2, 3)), np.zeros((2, 4))],
        [np.zeros((2, 0)), np.zeros((3, 0))],
        [{"a": np.zeros(2)}, {"b": np.zeros(3)}],
        [{"a": np.zeros(2)}, {"a": np.zeros(3), "b": np.array(1)}],
        [(np.zeros(2), "x"), (np.zeros(3), np.zeros(1))],
        [{"a": np.zeros(2)}, (np.zeros(3),)],
    ],
    ids=range(8),
)
def test_values_that_differ_in_more_than_their_length_stay_as_they_are(values: list[Any]) -> None:
    """Another number of dimensions, dtype, items or keys is another layout: nothing is reshaped."""
    found = actions(recorded(values))
    for left, right in zip(found, values, strict=True):
        assert repr(left) == repr(right)


def test_rows_of_vector_calls_keep_their_shape() -> None:
    """Each call of a vector environment is a block of one shape, also among single steps of any length."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    flags = np.zeros(2, bool)
    expected: list[np.ndarray[Any, Any]] = []
    for count in (3, 2, 5):
        values = np.arange(2.0 * count).reshape(2, count)
        recorder.step_vector(values, np.zeros(2), flags, flags, values)
        recorder.step(values[0][1:], 0.0, False, False, values[0][1:], env=5)
        recorder.reset_vector(values)
        expected += [*values, values[0][1:], *values]
    recorder.close()
    batches = batches_of(subscription.get_many(100))
    found = [
        decode_value(batch.header.observation, raw)
        for batch in batches
        for raw in unpack(batch.header.observation, batch.observation, batch.header.count)
    ]
    assert [value.tolist() for value in found] == [value.tolist() for value in expected]
    assert recorder.stats()["dropped"] == 0
