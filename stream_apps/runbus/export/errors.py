"""Defines what an export raises. Each is one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runbus.config.errors import RunBusError


class CannotExport(RunBusError):
    """The run, or this machine, is not fit for the format that was asked for."""


@contextmanager
def needing(library: str) -> Iterator[None]:
    """Turn the absence of a library that is imported inside into one sentence."""
    try:
        yield
    except ImportError as error:
        raise CannotExport(f"this format needs {library}: pip install 'runbus[export]' ({error})") from error
