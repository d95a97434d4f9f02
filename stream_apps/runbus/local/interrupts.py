"""Turns Ctrl-C, SIGTERM and SIGHUP into one KeyboardInterrupt, so that a start which is interrupted is undone once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Raises at the first signal of a `with` block; later ones are noted only. Does nothing outside the main thread.

    An exception of a signal's handler is lost if it hits a finaliser or a callback from C: `check` raises again.
    """

    def __init__(self) -> None:
        """Nothing is changed yet."""
        self._before: dict[signal.Signals, object] = {}
        self._asked = False
        self._held = False

    def __enter__(self) -> Self:
        """Take the signals over."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self._asked and not self._held:
            raise KeyboardInterrupt

    def hold(self) -> None:
        """Let nothing interrupt what follows: it ends by itself."""
        self._held = True

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        first, self._asked = not self._asked, True
        if first and not self._held:
            raise KeyboardInterrupt
