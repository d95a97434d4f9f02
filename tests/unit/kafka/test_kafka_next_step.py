"""What each error of librdkafka's clients asks for: the whole table, and what it does not know."""

import logging

import pytest
from confluent_kafka import KafkaError

from runbus.kafka.next_step import STEPS, UNKNOWN, NextStep, next_step


def _codes() -> dict[str, int]:
    """Return every code of the installed client, by name."""
    names = (name for name in dir(KafkaError) if name.lstrip("_").isupper())
    return {name: code for name in names if isinstance(code := getattr(KafkaError, name), int)}


@pytest.mark.parametrize("name", _codes())
def test_each_code_of_the_installed_client_is_in_the_table(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """None falls through: a new version of the client that brings a code makes this test name it."""
    assert name in STEPS
    assert next_step(KafkaError(_codes()[name])) is STEPS[name]
    assert not caplog.records


def test_the_table_has_no_name_that_the_client_does_not_have() -> None:
    """A name that is written wrongly would be a row that never counts."""
    assert set(STEPS) <= set(_codes())


def test_each_name_is_in_one_row() -> None:
    """Rows exclude each other: the later one would win without a word."""
    from runbus.kafka import next_step as table

    rows = (table._NOTHING, table._AGAIN, table._NEW_CLIENT, table._FENCED, table._RECORD, table._PERSON)
    assert sum(map(len, rows)) == len(STEPS)


@pytest.mark.parametrize(
    ("code", "flags", "step"),
    [
        (KafkaError.UNKNOWN, {"retriable": True}, NextStep.AGAIN),
        (KafkaError._TRANSPORT, {"fatal": True}, NextStep.NEW_CLIENT),
        (KafkaError._FENCED, {"fatal": True}, NextStep.FENCED),
        (KafkaError.INVALID_PRODUCER_EPOCH, {"fatal": True}, NextStep.FENCED),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, {"fatal": True}, NextStep.PERSON),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, {"retriable": True}, NextStep.PERSON),
    ],
)
def test_what_the_client_says_of_an_error_goes_first(code: int, flags: dict[str, bool], step: NextStep) -> None:
    """Fatal is a new client and retriable is again; a fence and a missing right stay what they are."""
    assert next_step(KafkaError(code, "reason", **flags)) is step


def test_a_code_that_nobody_knows_asks_for_a_new_client_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A broker may be newer than the client: nothing is concluded from its code, and somebody can read it."""
    with caplog.at_level(logging.ERROR):
        assert next_step(KafkaError(9_999)) is UNKNOWN is NextStep.NEW_CLIENT
    assert "kafka.unknown_error 9999" in caplog.text
