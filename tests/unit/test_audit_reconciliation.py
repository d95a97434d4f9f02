"""The audit identity: produced = stored + dropped + in flight + dead letters + missing, per stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.audit.reconciliation import Audit, Logged, Stored, StreamSums, reconcile
from runbus.kafka.model import StreamId

STREAM = StreamId("run", "agent", 1)


@pytest.mark.parametrize(
    ("logged", "stored", "expected"),
    [
        pytest.param(Logged(100, 0, 0), Stored(100, 100, 100), StreamSums(100, 100), id="all stored"),
        pytest.param(Logged(100, 10, 0), Stored(90, 90, 100), StreamSums(100, 90, dropped=10), id="drops are no loss"),
        pytest.param(Logged(100, 0, 40), Stored(60, 60, 60), StreamSums(100, 60, in_flight=40), id="on the way"),
        pytest.param(
            Logged(100, 0, 40), Stored(80, 80, 80), StreamSums(100, 80, in_flight=20), id="stored, not yet committed"
        ),
        pytest.param(
            Logged(100, 0, 0), Stored(99, 99, 100), StreamSums(100, 99, missing=1), id="lost below the cursor"
        ),
        pytest.param(
            Logged(100, 0, 5),
            Stored(90, 90, 100),
            StreamSums(100, 90, in_flight=5, missing=5),
            id="lost and on the way",
        ),
        pytest.param(Logged(100, 0, 0), Stored(101, 100, 100), StreamSums(100, 101, duplicates=1), id="twice"),
        pytest.param(
            Logged(100, 0, 0, resent=7),
            Stored(107, 100, 100),
            StreamSums(100, 107, resent=7),
            id="twice, as a journal said",
        ),
        pytest.param(
            Logged(100, 0, 0, resent=7),
            Stored(109, 100, 100),
            StreamSums(100, 109, resent=7, duplicates=2),
            id="what was resent excuses no other",
        ),
        pytest.param(Logged(100, 0, 0), Stored(0, 0, 0), StreamSums(100, missing=100), id="nothing stored"),
        pytest.param(
            Logged(100, 0, 0, dead_letters=10),
            Stored(90, 90, 100),
            StreamSums(100, 90, dead_letters=10),
            id="dead letters",
        ),
        pytest.param(
            Logged(100, 0, 5, dead_letters=10),
            Stored(70, 70, 100),
            StreamSums(100, 70, in_flight=5, dead_letters=10, missing=15),
            id="dead letters excuse no other loss",
        ),
        pytest.param(
            Logged(100, 0, 0, dead_letters=10),
            Stored(100, 100, 100),
            StreamSums(100, 100),
            id="stored by a retry since",
        ),
        pytest.param(Logged(), Stored(50, 50, 50), StreamSums(50, 50), id="retention removed the log"),
        pytest.param(
            Logged(),
            Stored(45, 45, 50, dropped=5),
            StreamSums(50, 45, dropped=5),
            id="and with it what the log said of drops",
        ),
    ],
)
def test_each_fate_is_counted_once(logged: Logged, stored: Stored, expected: StreamSums) -> None:
    """Each way a step can go ends in exactly one column."""
    audit = reconcile({STREAM: logged}, {STREAM: stored})
    assert audit.streams == {STREAM: expected}
    assert audit.sound == (expected.missing == expected.duplicates == 0)
    assert audit.settled == (expected.in_flight == 0)


steps = st.integers(0, 1000)


@given(stored=steps, dropped=steps, above=steps, dead=steps, lost=steps, twice=steps)
def test_the_identity_holds_for_any_history(
    stored: int, dropped: int, above: int, dead: int, lost: int, twice: int
) -> None:
    """Whatever happened to the steps, the columns add up to what was produced."""
    produced = stored + dropped + above + dead + lost
    logged = Logged(produced, dropped, above, dead_letters=dead)
    sums = reconcile({STREAM: logged}, {STREAM: Stored(stored + twice, stored, stored)}).total
    assert (sums.produced, sums.missing, sums.in_flight, sums.duplicates) == (produced, lost, above, twice)
    assert sums.dead_letters == dead
    fates = sums.dropped + sums.in_flight + sums.dead_letters + sums.missing
    assert sums.produced == sums.stored - sums.duplicates + fates


def test_totals_are_the_sums_of_the_streams() -> None:
    """The total row adds every stream, and the JSON carries both."""
    other = StreamId("run", "other", 2)
    audit = reconcile(
        {STREAM: Logged(10, 1, 0), other: Logged(20, 0, 5)}, {STREAM: Stored(9, 9, 10), other: Stored(15, 15, 15)}
    )
    assert audit.total == StreamSums(30, 24, dropped=1, in_flight=5)
    document = audit.as_json()
    assert document["total"] == audit.total.as_dict()
    streams = document["streams"]
    assert isinstance(streams, list)
    assert [(s["run_id"], s["agent_id"], s["attempt"]) for s in streams] == [STREAM, other]


def test_an_unreadable_record_is_never_sound() -> None:
    """What could not be read may hide a loss, so the audit does not call it sound."""
    assert not Audit({STREAM: StreamSums(1, 1)}, unreadable=1).sound


def test_a_dead_letter_is_no_error_by_itself() -> None:
    """Neither its steps nor, where nobody can read it, the record itself: its bytes and the reason are kept."""
    audit = reconcile({STREAM: Logged(9, dead_letters=4)}, {STREAM: Stored(5, 5, 9)}, unreadable_letters=3)
    assert audit.sound
    assert audit.unreadable_letters == 3


def test_the_keys_that_scripts_read() -> None:
    """The sums have the names of the contract, and the dead letters."""
    contract = {"produced", "stored", "dropped", "in_flight", "missing", "duplicates", "resent"}
    assert StreamSums().as_dict().keys() == contract | {"dead_letters"}


def test_metrics_are_summed_apart_and_judged_together() -> None:
    """No value is a step; what is missing of either makes the audit unsound, what is in flight unsettled."""
    steps, values = {STREAM: Logged(9, finished=True)}, {STREAM: Logged(20, pending=5, finished=True)}
    audit = replace(
        reconcile(steps, {STREAM: Stored(9, 9, 9)}), metrics=reconcile(values, {STREAM: Stored(12, 12, 20)})
    )
    assert audit.total.produced == 9
    assert audit.metrics is not None
    assert audit.metrics.total == StreamSums(produced=20, stored=12, in_flight=5, missing=3)
    assert (audit.sound, audit.settled) == (False, False)
    assert audit.as_json()["metrics"] == audit.metrics.as_json()
