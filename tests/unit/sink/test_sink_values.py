"""What a value says about itself: right where it decodes, InvalidValue where it does not, whatever the bytes are."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.errors import InvalidValue
from runbus.schemas.events import Event
from runbus.sink.api import Record, Route
from runbus.sink.routes import ROUTES
from runbus.sink.values import check, rows, without
from tests.fuzz.batches import STEP_BATCH, Batches
from tests.fuzz.events import KINDS, Events
from tests.fuzz.rows import step_rows

quick = settings(max_examples=60, deadline=None, derandomize=True)
BY_SCHEMA = {route.schema: route for route in ROUTES}
STEPS = BY_SCHEMA["StepBatch"]


def _record(body: bytes) -> Record:
    return Record(4, b"key", b"framing" + body, 0, 0, None, len(b"framing"))


@given(st.integers(0, 2**32))
@quick
def test_a_value_that_passes_has_the_rows_that_it_counts(seed: int) -> None:
    """A damaged batch is refused, or makes exactly as many rows as its header says."""
    body = Batches(seed).mutated()
    try:
        check(STEPS, _record(body), STEP_BATCH)
    except InvalidValue:
        with pytest.raises(InvalidValue):
            step_rows(body)
        return
    assert rows(STEPS, _record(body), STEP_BATCH) == len(step_rows(body))


@given(st.binary(max_size=80))
@quick
def test_any_bytes_are_refused_or_counted(body: bytes) -> None:
    """Of no topic do random bytes raise anything but InvalidValue."""
    for route in ROUTES:
        for ask in (check, rows, _without):
            with contextlib.suppress(InvalidValue):
                ask(route, _record(body), schema(route.schema))


def _without(route: Route, record: Record, writer: Any) -> None:
    if route.batched:
        without(record, writer, {1})


@given(st.integers(0, 2**32), st.sets(st.integers(0, 5)))
@quick
def test_what_is_missing_of_a_batch_and_what_is_there_are_the_batch(seed: int, there: set[int]) -> None:
    """Whichever rows are stored, the pieces hold the others, each once and in order, with all that they had."""
    batch = Batches(seed).good()
    present = {batch.header.first_seq + i for i in there}
    pieces = without(_record(encode(batch)), STEP_BATCH, present)
    found = [row for piece in pieces for row in step_rows(piece)]
    assert found == [row for row in step_rows(encode(batch)) if row["seq"] not in present]


def test_an_event_is_one_row() -> None:
    """Of a topic that is not batched a value is a row, and it is checked as what it is."""
    for kind in KINDS:
        if kind.SCHEMA in BY_SCHEMA:
            _check_events(kind, BY_SCHEMA[kind.SCHEMA])


def _check_events(kind: type[Event], route: Route) -> None:
    events = Events(kind, 5)
    refused = 0
    for _ in range(100):
        body = events.mutated()
        assert rows(route, _record(body), schema(kind.SCHEMA)) == 1
        try:
            check(route, _record(body), schema(kind.SCHEMA))
        except InvalidValue:
            refused += 1
            continue
        kind.decode(body)
    assert 10 < refused < 90
