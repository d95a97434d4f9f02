"""Signals of a start: the first interrupts, none is lost, and nothing interrupts the clean-up."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

import pytest

from runbus.local.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_later_ones_do_not(number: signal.Signals) -> None:
    """One KeyboardInterrupt, whatever the signal; afterwards the handlers are those of before."""
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        interrupts.hold()
        signal.raise_signal(number)
        interrupts.check()
    assert signal.getsignal(number) is before


def test_a_signal_during_the_clean_up_does_not_interrupt_it() -> None:
    """After `hold` even the first signal is only noted."""
    with Interrupts() as interrupts:
        interrupts.hold()
        signal.raise_signal(signal.SIGTERM)
        interrupts.check()


def test_an_interrupt_that_was_lost_is_raised_again() -> None:
    """An exception that somebody swallowed comes back at the next check."""
    with Interrupts() as interrupts:
        interrupts.check()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_another_thread_takes_no_signals() -> None:
    """Only the main thread may; elsewhere the block changes nothing."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
