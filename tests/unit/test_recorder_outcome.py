"""Which exception ended a stream, and which one only passed by."""

import asyncio
import concurrent.futures
import sys

import pytest

from runbus.recorder import Recorder, RunBus
from runbus.recorder.outcome import exception_so_far, exit_outcome, outcome_of


class Cancelled(BaseException):
    """As trio names it."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("bad"), ("failed", "ValueError: bad")),
        (KeyboardInterrupt(), ("interrupted", "KeyboardInterrupt: ")),
        (asyncio.CancelledError("stop"), ("interrupted", "CancelledError: stop")),
        (concurrent.futures.CancelledError(), ("interrupted", "CancelledError: ")),
        (Cancelled(), ("interrupted", "Cancelled: ")),
        (GeneratorExit(), ("interrupted", "GeneratorExit: ")),
        (SystemExit(0), ("completed", "")),
        (SystemExit(), ("completed", "")),
        (SystemExit("bad"), ("failed", "SystemExit: bad")),
    ],
)
def test_the_outcome_that_an_exception_means(error: BaseException, outcome: tuple[str, str]) -> None:
    """A cancelled task was interrupted, as Ctrl-C does; sys.exit(0) is no failure."""
    assert outcome_of(error) == outcome


def test_the_exception_that_ends_the_process_is_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one the stream is completed; one that was there when the stream began ended another."""
    monkeypatch.delattr(sys, "last_value", raising=False)
    assert exit_outcome() == ("completed", "")
    error = KeyError("x")
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    assert exit_outcome() == ("failed", "KeyError: 'x'")
    assert exit_outcome(id(error)) == ("completed", "")


def test_an_interactive_session_goes_on_after_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's failed cell is noted by Python in the same place as what ends a script."""
    monkeypatch.setattr(sys, "last_value", KeyError("x"), raising=False)
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)
    assert exit_outcome() == ("completed", "")


def test_an_exception_under_way_is_known_too() -> None:
    """A recorder that is made while an exception is handled (a retry) is not ended by it."""
    error = ValueError("first try")
    try:
        raise error
    except ValueError:
        assert exception_so_far() is error


def test_a_cancelled_task_is_interrupted() -> None:
    """The recorder's `with` in a task that is cancelled says so."""
    bus = RunBus()
    seen = bus.subscribe("test")

    async def act() -> None:
        with Recorder("run-1", bus=bus, kafka=False) as recorder:
            recorder.reset(0.0)
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(act())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert seen.get_many(10)[-1].outcome == "interrupted"
