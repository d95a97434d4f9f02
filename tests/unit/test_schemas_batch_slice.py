"""A slice of a batch is a batch of those steps: the slices of a batch together are the batch."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from runbus.schemas.batch import Extra, StepBatch, check, decode, encode
from tests.fuzz.batches import STEP_BATCH, Batches
from tests.fuzz.rows import step_rows
from tests.unit.batches import make_batch

SEEDS = range(200)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rows_of_every_slice_are_the_rows_of_the_batch(seed: int) -> None:
    """Whatever layouts and columns a batch has, each slice of it is valid and holds exactly its steps."""
    batch = Batches(seed).good()
    meant = step_rows(encode(batch))
    for start, stop in itertools.combinations(range(batch.header.count + 1), 2):
        part = batch.slice(start, stop)
        check(part)
        assert step_rows(encode(part)) == meant[start:stop]
        assert all(extra.rows.size for extra in part.extras)


def test_a_decoded_batch_can_be_sliced() -> None:
    """Its columns are read-only views of the bytes that came, which a slice leaves as they are."""
    batch = Batches(3).good()
    body = encode(batch)
    found = decode(body, STEP_BATCH)
    found.slice(0, 1)
    assert encode(found) == body


@pytest.mark.parametrize(("start", "stop", "names"), [(0, 2, ["loss"]), (2, 3, []), (0, 3, ["loss"]), (1, 3, ["loss"])])
def test_a_slice_has_the_extras_that_a_step_of_it_has(start: int, stop: int, names: list[str]) -> None:
    """A number that no step of it has is not named, whether the batch had it empty or the steps are elsewhere."""
    none, both = np.array([], "<u4"), np.array([0, 1], "<u4")
    extras = (Extra("loss", both, both.astype("<f8")), Extra("never", none, none.astype("<f8")))
    batch: StepBatch = replace(make_batch(3), extras=extras)
    assert [extra.name for extra in batch.slice(start, stop).extras] == names
