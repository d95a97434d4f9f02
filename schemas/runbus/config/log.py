"""Starts the log of a process on standard error: one line a record, whatever text is in it."""

from __future__ import annotations

import logging

from runbus.config.terminal import printable


class OneLine(logging.Formatter):
    """Formats a record so that its message stays on one line and does nothing to a terminal.

    A traceback keeps its lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line."""
        return printable(super().formatMessage(record))


def start_log(line: str, level: int) -> None:
    """Log what `runbus` says from `level` on.

    Libraries are heard if the level is info or debug: what they say of a failed request is in the error's own
    sentence. A process that stays raises the root's level to warning.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(line))
    root = logging.getLogger()
    # some libraries set levels of their own, so the root's is asked here
    handler.addFilter(lambda record: record.name.partition(".")[0] == "runbus" or record.levelno >= root.level)
    if not root.handlers:
        root.addHandler(handler)
    root.setLevel(logging.WARNING if level <= logging.INFO else logging.CRITICAL + 1)
    logging.getLogger("runbus").setLevel(level)
