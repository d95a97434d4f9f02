"""Says how a stream ended, from the exception that ended it."""

from __future__ import annotations

import sys

from runbus.schemas.events import Outcome

#: Names of exceptions by which something is stopped; by name: neither asyncio nor another library is imported for this.
CANCELLED = frozenset(["CancelledError", "Cancelled", "KeyboardInterrupt", "GeneratorExit"])


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """Return the outcome and error text of a stream that this exception ended: a cancelled task is interrupted."""
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return "completed", ""
    interrupted = any(kind.__name__ in CANCELLED for kind in type(error).__mro__)
    return "interrupted" if interrupted else "failed", f"{type(error).__name__}: {error}"


def exception_so_far() -> BaseException | None:
    """Return the exception that nothing caught in this process: the one under way, or the last that Python noted."""
    error = sys.exc_info()[1] or getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None


def exit_outcome(known: int = 0) -> tuple[Outcome, str]:
    """Return the outcome of a stream that is still open when the process ends.

    An interactive session (a notebook, `python -i`) goes on after an exception, so none has ended it.

    Args:
        known: id of the exception that Python had noted when the stream began; that one did not end it.
    """
    error = exception_so_far()
    if error is None or id(error) == known or hasattr(sys, "ps1") or sys.flags.interactive:
        return "completed", ""
    return outcome_of(error)
