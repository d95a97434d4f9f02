"""What each error of aiokafka asks for: the whole table, what it wraps, and what the table does not know."""

import asyncio
import copy
import logging

import pytest
from aiokafka import errors

from runbus.config.errors import RunBusError
from runbus.kafka.next_step import UNKNOWN, NextStep
from runbus.streams import client_errors
from runbus.streams.client_errors import CLIENT_ERRORS, STEPS, next_step, own_state_checked, raise_if_final, said

CLASSES = sorted(
    {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)}, key=lambda c: c.__name__
)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_class_of_the_installed_client_is_in_the_table(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """None falls through: a new version of aiokafka that brings a class makes this test name it."""
    assert kind.__name__ in STEPS
    assert next_step(kind()) is STEPS[kind.__name__]
    assert issubclass(kind, CLIENT_ERRORS)
    assert not caplog.records


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_the_client_calls_retriable_is_made_again(kind: type[Exception]) -> None:
    """The client's own word is in the table: none of these is a reason to end."""
    if getattr(kind, "retriable", False):
        assert STEPS[kind.__name__] is NextStep.AGAIN


def test_each_name_is_a_class_and_in_one_row() -> None:
    """A name that is written wrongly, or twice, would be a row that never counts."""
    table = client_errors
    rows = (table._AGAIN, table._NEW_CLIENT, table._FENCED, table._RECORD, table._PERSON)
    assert sum(map(len, rows)) == len(STEPS)
    assert set(STEPS) == {kind.__name__ for kind in CLASSES}


def _wrapped(cause: Exception) -> errors.KafkaError:
    """Return what aiokafka makes of an error that ends its sender."""
    try:
        try:
            raise errors.KafkaError(repr(cause)) from cause
        except errors.KafkaError as error:
            raise errors.KafkaError("Unexpected error during batch delivery") from error
    except errors.KafkaError as error:
        return error


@pytest.mark.parametrize(
    ("cause", "step"),
    [
        (errors.KafkaConnectionError("reset"), NextStep.NEW_CLIENT),
        (AssertionError("Invalid state transition"), NextStep.NEW_CLIENT),
        (errors.SaslAuthenticationFailed(), NextStep.NEW_CLIENT),
        (errors.TopicAuthorizationFailedError("steps"), NextStep.PERSON),
        (errors.TransactionalIdAuthorizationFailed("id"), NextStep.PERSON),
        (errors.InvalidProducerEpoch(), NextStep.FENCED),
    ],
)
def test_what_ended_a_task_of_the_client_asks_for_a_new_client(cause: Exception, step: NextStep) -> None:
    """The task does not come back, whatever its end was; a fence and a missing right are found behind the wrapping."""
    error = _wrapped(cause)
    assert next_step(error) is step
    assert type(cause).__name__ in said(error)
    if step is NextStep.NEW_CLIENT:
        assert next_step(copy.copy(error)) is step  # the copy that a future gets has no cause


@pytest.mark.parametrize("error", [OSError(), TimeoutError()])
def test_a_socket_and_a_time_that_is_over_are_made_again(error: Exception) -> None:
    """The client lets errors of the language through."""
    assert next_step(error) is NextStep.AGAIN


def test_a_wrong_state_of_the_client_asks_for_a_new_one() -> None:
    """It checks its own state by assertions: that is no reason to end, and nothing of ours."""
    with pytest.raises(errors.KafkaError, match="cannot be") as found, own_state_checked():
        raise AssertionError("Invalid state transition")
    assert next_step(found.value) is NextStep.NEW_CLIENT


def test_a_call_that_the_client_cancelled_itself_asks_for_a_new_one() -> None:
    """Nobody asked the task to end; if somebody did, it ends."""

    async def call() -> None:
        with own_state_checked():
            inner = asyncio.ensure_future(asyncio.Event().wait())
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner

    async def story() -> None:
        with pytest.raises(errors.KafkaError, match="cancelled its own call") as found:
            await call()
        assert next_step(found.value) is NextStep.NEW_CLIENT
        asked = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()

    asyncio.run(story())


def test_what_a_person_has_to_change_is_one_sentence() -> None:
    """A right, or a record that is never taken, ends the process; what the client calls retriable does not."""
    with pytest.raises(RunBusError, match=r"^writing for steps:0: Kafka refuses it for good: .*TopicAuth.*; check"):
        raise_if_final(errors.TopicAuthorizationFailedError("steps"), "writing for steps:0")
    with pytest.raises(RunBusError, match=r"MessageSizeTooLarge"):
        raise_if_final(errors.MessageSizeTooLargeError(), "writing for steps:0")
    raise_if_final(errors.LeaderNotAvailableError(), "writing for steps:0")
    raise_if_final(_wrapped(errors.KafkaConnectionError()), "writing for steps:0")


def test_a_class_that_nobody_knows_asks_for_a_new_client_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A newer aiokafka may have it: nothing is concluded from it, and somebody can read it."""

    class NewError(errors.KafkaError):  # type: ignore[misc]  # aiokafka is not typed
        """An error of the next version."""

    with caplog.at_level(logging.ERROR):
        assert next_step(NewError("what?")) is UNKNOWN
    assert "streams.unknown_error NewError: what?" in caplog.text
